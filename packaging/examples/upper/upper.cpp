#include <preforkd/preforkd.hpp>
struct Upper : preforkd::BlockingHandler {
    void serve(preforkd::BlockingConnection& client) override {
        for (int c; (c = client.input().get()) >= 0;) client.output().put(static_cast<char>(std::toupper(c)));
    }
};
int main(int argc, char** argv) { return preforkd::run(argc, argv, preforkd::handler<Upper>("upper")); }

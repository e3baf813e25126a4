// Over preforkd::Stream.
#include <preforkd/preforkd.hpp>
#include <preforkd/stream.hpp>

#include "beast_echo.hpp"

namespace {

class Echo final : public preforkd::StreamHandler {
public:
    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        preforkd::Stream stream{client};
        co_await echo_posts(stream);
    }
};

}  // namespace

int main(int argc, char** argv) { return preforkd::run(argc, argv, preforkd::handler<Echo>("echo")); }

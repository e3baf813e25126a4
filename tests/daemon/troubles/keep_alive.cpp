// Answers line after line, each with whether its worker has been told to leave, until there is no next one.
#include <preforkd/preforkd.hpp>

#include <cstdio>
#include <string>

struct KeepAlive : preforkd::BlockingHandler {
    void worker_draining() override { std::puts("told to drain"); }
    void serve(preforkd::BlockingConnection& client) override {
        std::string line;
        while (client.next_request() && getline(client.stream(), line))
            client.output() << line << (client.draining() ? " draining\n" : " serving\n");
    }
};
PREFORKD_HANDLER(KeepAlive);

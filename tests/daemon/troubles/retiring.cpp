// Whose workers ask for their replacement as soon as they serve: a stop signal that is not the master's.
#include <preforkd/preforkd.hpp>

#include <unistd.h>

#include <csignal>
#include <iostream>
#include <string>

struct Retiring : preforkd::BlockingHandler {
    void worker_started() override { ::kill(::getpid(), SIGQUIT); }
    void serve(preforkd::BlockingConnection& client) override {
        for (std::string line; std::getline(client.stream(), line);) client.stream() << line << std::endl;
    }
};
PREFORKD_HANDLER(Retiring);

// Of whose workers only one becomes ready.
#include <preforkd/preforkd.hpp>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>

struct OneStarts : preforkd::BlockingHandler {
    void worker_started() override {
        sockaddr_un name{.sun_family = AF_UNIX, .sun_path = {}};  // abstract, and free again when its owner is dead
        std::snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "preforkd-one-starts-%d", ::getppid());
        const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (::bind(socket, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0) return;
        for (;;) ::pause();
    }
    void serve(preforkd::BlockingConnection&) override {}
};
PREFORKD_HANDLER(OneStarts);

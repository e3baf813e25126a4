// Needs a socket from its first moment on.
#include <preforkd/preforkd.hpp>

#include <sys/socket.h>

#include <cerrno>
#include <system_error>

struct Greedy : preforkd::BlockingHandler {
    Greedy() {
        if (::socket(AF_INET, SOCK_STREAM, 0) == -1) throw std::system_error{errno, std::generic_category(), "socket"};
    }
    void serve(preforkd::BlockingConnection&) override {}
};
PREFORKD_HANDLER(Greedy);

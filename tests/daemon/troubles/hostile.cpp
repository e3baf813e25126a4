// Code that has taken its worker over: does on a client's word what harms others, if it can.
#include <preforkd/preforkd.hpp>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

/// The descriptors that this process has.
void for_each_descriptor(const std::function<void(int)>& use) {
    for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"})
        use(std::stoi(entry.path().filename().string()));
}

bool is_channel(int fd) {
    int type = 0;
    socklen_t size = sizeof type;
    return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

/// Where reports go, as a worker writes them: a byte, and perhaps a text.
void report(std::string_view packet) {
    for_each_descriptor([&](int fd) {
        if (is_channel(fd)) (void)!::write(fd, packet.data(), packet.size());
    });
}

void shut_listeners_down() {
    for_each_descriptor([](int fd) {
        int listens = 0;
        socklen_t size = sizeof listens;
        if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0)
            ::shutdown(fd, SHUT_RDWR);
    });
}

struct Hostile : preforkd::BlockingHandler {
    void serve(preforkd::BlockingConnection& client) override {
        std::string word;
        while (std::getline(client.stream(), word)) {
            client.stream() << word << ' ' << ::getpid() << std::endl;
            if (word == "ready") report(std::string_view{"\0", 1});
            if (word == "unknown") report("\x7f");
            if (word == "failures")
                for (;;) report("\x03\x1b[2Jforged\n<0>a line of its own");
            if (word == "pauses")
                for (;;) report("\x01");
            if (word == "shut down") shut_listeners_down();
        }
    }
};
PREFORKD_HANDLER(Hostile);

// Code that has taken its worker over, and turns to the sockets that it shares with the others.
#include <preforkd/preforkd.hpp>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace {

/// Listeners, and sockets for datagrams.
void for_each_shared_socket(const std::function<void(int)>& use) {
    for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) {
        const int fd = std::stoi(entry.path().filename().string());
        int listens = 0;
        int type = 0;
        socklen_t size = sizeof(int);
        if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) continue;
        ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size);
        if (listens != 0 || type == SOCK_DGRAM) use(fd);
    }
}

/// Those for datagrams alone: listeners are looked after one by one.
void shut_down(int fd) {
    int type = 0;
    socklen_t size = sizeof type;
    if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_DGRAM) ::shutdown(fd, SHUT_RDWR);
}

/// To itself: there is always somebody there.
void connect_to_itself(int fd) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    ::connect(fd, reinterpret_cast<const sockaddr*>(&address), size);
}

void disconnect(int fd) {
    connect_to_itself(fd);
    const sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
    ::connect(fd, &nobody, sizeof nobody);
}

void keep_everything_out(int fd) {
    sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
    const sock_fprog filter{.len = 1, .filter = &drop};
    ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}

void keep_distant_packets_out(int fd) {
    const int nearest = 255;
    ::setsockopt(fd, IPPROTO_IP, IP_MINTTL, &nearest, sizeof nearest);
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, &nearest, sizeof nearest);
}

void reset_who_is_served(int fd) {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void take_the_buffer_away(int fd) {
    const int least = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof least);
}

/// In the error queue: when each datagram was sent, and which came to nobody.
void ask_for_errors(int fd) {
    const unsigned stamps = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof stamps);
    ::setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
}

void block(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK); }

}  // namespace

struct SharedSockets : preforkd::BlockingHandler, preforkd::DatagramHandler {
    void serve(preforkd::BlockingConnection& client) override {
        std::string word;
        while (getline(client.stream(), word)) {
            if (word == "connect") for_each_shared_socket(connect_to_itself);
            if (word == "disconnect") for_each_shared_socket(disconnect);
            if (word == "shut down") for_each_shared_socket(shut_down);
            if (word == "filter") for_each_shared_socket(keep_everything_out);
            if (word == "near") for_each_shared_socket(keep_distant_packets_out);
            if (word == "linger") for_each_shared_socket(reset_who_is_served);
            if (word == "shrink") for_each_shared_socket(take_the_buffer_away);
            if (word == "errors") for_each_shared_socket(ask_for_errors);
            if (word == "block") for_each_shared_socket(block);
            client.stream() << word << ' ' << ::getpid() << std::endl;
        }
    }
    void serve(preforkd::Datagram& request) override {
        if (request.text() == "errors") for_each_shared_socket(ask_for_errors);
        (void)request.reply(request.text());
    }
};
PREFORKD_HANDLER(SharedSockets);

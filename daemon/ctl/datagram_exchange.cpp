#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <string>

#include "common/base/sys_error.hpp"
#include "common/base/units.hpp"
#include "daemon/ctl/dial.hpp"
#include "daemon/ctl/exchange.hpp"

namespace preforkd {
namespace {

/// What fits into one datagram: 65535 less the headers that the length field counts.  A Unix datagram may be longer,
/// but no server of ours receives more.  Source: RFC 768, RFC 8200.
std::size_t longest_datagram(int family) {
    if (family == AF_INET) return 65'535 - 20 - 8;
    return family == AF_INET6 ? 65'535 - 8 : 65'535;
}

[[noreturn]] void refuse_text(std::string_view size, std::size_t limit) {
    throw std::invalid_argument{
        fmt::format("TEXT: {} bytes do not fit into a datagram; at most {} do, a stream (tcp, unix) takes any length",
                    size, limit)};
}

/// All of the input; of one that is too long, only enough to know it.
std::string read_all(int input, std::size_t limit) {
    std::string text;
    for (;;) {
        char piece[16 * 1024];
        const ssize_t got = ::read(input, piece, sizeof piece);
        if (got == 0) return text;
        if (got > 0) text.append(piece, static_cast<std::size_t>(got));
        if (text.size() > limit) refuse_text(fmt::format("more than {}", limit), limit);
        if (got == -1 && errno == EAGAIN) {
            pollfd watched{.fd = input, .events = POLLIN, .revents = 0};
            (void)wait_until(std::nullopt, {&watched, 1});
        } else if (got == -1 && errno != EINTR) {
            throw_errno("read standard input");
        }
    }
}

/// Binds a name of the kernel's choice in the abstract name space, so that a reply has somewhere to go and nothing is
/// left behind.  Source: unix(7), "Autobind feature".
void bind_any_name(int fd) {
    const sockaddr nameless{.sa_family = AF_UNIX, .sa_data = {}};
    check(::bind(fd, &nameless, sizeof nameless.sa_family), "bind a name for the reply");
}

class DatagramExchange {
public:
    DatagramExchange(const SendRequest& request, const std::string& text, Listening listening)
        : request_{request}, text_{text}, listening_{listening} {}

    void talk() {
        const std::string reply =
            first_that_works(request_, patience_, listening_.trace,
                             [this](const SocketAddress& address, Deadline) { return ask(address); });
        listening_.answer.pass_on(reply);
    }

private:
    std::string ask(const SocketAddress& address) {
        const std::string header =
            request_.proxy ? proxy_header_for(*request_.proxy, address, SOCK_DGRAM) : std::string{};
        const std::size_t limit = longest_datagram(address.family()) - header.size();
        if (text_.size() > limit) refuse_text(std::to_string(text_.size()), limit);
        const UniqueFd socket = connect_within(patience_.until(), address, SOCK_DGRAM);
        if (address.family() == AF_UNIX && !request_.no_reply) {
            bind_any_name(socket.get());
            listening_.trace.replies_come_to(name_of(SocketAddress::local_of(socket.get())));
        }
        listening_.trace.connected(name_of(address));
        if (request_.proxy) listening_.trace.announced(to_string(*request_.proxy));
        send_datagram(socket.get(), header);
        if (!request_.no_reply) return receive_reply(socket.get());
        check_refusal(socket.get());
        return {};
    }

    /// Both in one.
    void send_datagram(int socket, std::string header) {
        std::array<iovec, 2> parts{{{.iov_base = header.data(), .iov_len = header.size()},
                                    {.iov_base = const_cast<char*>(text_.data()), .iov_len = text_.size()}}};
        msghdr message{};
        message.msg_iov = parts.data();
        message.msg_iovlen = parts.size();
        while (::sendmsg(socket, &message, MSG_NOSIGNAL) == -1) {
            if (errno == EMSGSIZE)
                throw std::invalid_argument{
                    fmt::format("TEXT: the kernel takes no datagram of {} bytes here; send less", text_.size())};
            if (errno != EAGAIN && errno != EINTR) throw_errno("send");
            if (errno == EAGAIN) wait(socket, POLLOUT, "its queue is full, nothing was taken");
        }
        listening_.trace.sent(text_.size());
    }

    std::string receive_reply(int socket) {
        for (;;) {
            wait(socket, POLLIN, "no reply");
            const ssize_t size = ::recv(socket, nullptr, 0, MSG_PEEK | MSG_TRUNC);
            std::string reply(size > 0 ? static_cast<std::size_t>(size) : 0, '\0');
            const ssize_t got = size == -1 ? -1 : ::recv(socket, reply.data(), reply.size(), 0);
            if (got != -1) {
                listening_.trace.received(reply.size());
                return reply;
            }
            if (errno != EAGAIN && errno != EINTR) throw_errno("receive");
        }
    }

    /// What the kernel knows by now; on the way to another machine a refusal takes its time.
    static void check_refusal(int socket) {
        int error = 0;
        socklen_t size = sizeof error;
        check(::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size), "send");
        if (error != 0) throw std::system_error{error, std::generic_category(), "send"};
    }

    void wait(int socket, short events, std::string_view failure) {
        pollfd watched{.fd = socket, .events = events, .revents = 0};
        if (wait_until(patience_.until(), {&watched, 1})) return;
        throw std::runtime_error{fmt::format("{}: {} within --timeout {}{}", to_string(request_.endpoint), failure,
                                             to_string(request_.timeout),
                                             events == POLLIN ? "; if none is due, say --no-reply" : "")};
    }

    const SendRequest& request_;
    const std::string& text_;
    Listening listening_;
    Patience patience_{request_.timeout};
};

}  // namespace

void exchange_datagrams(const SendRequest& request, const SendChannels& channels, Listening listening) {
    const std::string text = request.text ? *request.text : read_all(channels.input, longest_datagram(AF_UNIX));
    listening.trace.restart();
    DatagramExchange{request, text, listening}.talk();
}

}  // namespace preforkd

#include "daemon/ctl/control.hpp"

#include <fmt/core.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "common/control_endpoint.hpp"
#include "common/sys_error.hpp"
#include "common/units.hpp"
#include "daemon/ctl/dial.hpp"
#include "daemon/ctl/status_table.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view packaged_socket = "/run/preforkd/control.sock";
constexpr auto watch_period = 1000ms;

std::string_view remedy_for(int error) {
    switch (error) {
        case ENOENT:
        case ECONNREFUSED: return "; is preforkd running, and with this --control?";
        case EACCES: return "; only root and the user of the daemon may ask it";
        default: return "";
    }
}

/// The daemon has let go of the connection, without a word.
struct ConversationEnded : std::runtime_error {
    explicit ConversationEnded(const Endpoint& control)
        : runtime_error{to_string(control) + ": the daemon has ended the conversation"} {}
};

bool is_end(int error) noexcept { return error == EPIPE || error == ECONNRESET; }

/// A conversation with the daemon, one line each way at a time.
class ControlLine {
public:
    ControlLine(const Endpoint& control, std::chrono::milliseconds timeout) : control_{control}, timeout_{timeout} {
        try {
            socket_ = connect_within(Patience{timeout}.until(), resolve(control).at(0), SOCK_STREAM);
        } catch (const std::system_error& error) {
            throw std::runtime_error{
                fmt::format("{}: {}{}", to_string(control), error.code().message(), remedy_for(error.code().value()))};
        }
    }

    /// Throws ConversationEnded, among others.
    [[nodiscard]] ControlAnswer ask(const ControlRequest& request) {
        const std::string line = to_json(request) + '\n';
        // One that has turned us away already has said why, which is still to be read.
        if (::send(socket_.get(), line.data(), line.size(), MSG_NOSIGNAL) == -1 && !is_end(errno))
            throw_errno(to_string(control_));
        const Patience patience{timeout_};
        while (heard_.find('\n') == heard_.npos) hear(patience);
        const std::string answer = heard_.substr(0, heard_.find('\n'));
        heard_.erase(0, answer.size() + 1);
        return parse_control_answer(answer);
    }

    /// Until it is time to ask again, or the daemon has something to say: that it ends.
    void pause(std::chrono::milliseconds length) const {
        pollfd watched{.fd = socket_.get(), .events = POLLIN, .revents = 0};
        const auto until = Clock::now() + length;
        char any;
        // Of an end there is nothing to be heard: who came back at once would only displace the next.
        if (wait_until(until, {&watched, 1}) && ::recv(socket_.get(), &any, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
            (void)wait_until(until, {});
    }

private:
    void hear(const Patience& patience) {
        pollfd watched{.fd = socket_.get(), .events = POLLIN, .revents = 0};
        if (!wait_until(patience.until(), {&watched, 1}))
            throw std::runtime_error{fmt::format("{}: no answer within --timeout {}: the outcome is unknown",
                                                 to_string(control_), to_string(timeout_))};
        std::array<char, 65536> bytes;
        const ssize_t got = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
        if (got == 0 || (got == -1 && is_end(errno))) throw ConversationEnded{control_};
        if (got == -1 && errno != EAGAIN && errno != EINTR) throw_errno(to_string(control_));
        if (got > 0) heard_.append(bytes.data(), static_cast<std::size_t>(got));
    }

    Endpoint control_;
    std::chrono::milliseconds timeout_;
    UniqueFd socket_{};
    std::string heard_{};
};

/// 0 where nobody looks.
std::size_t terminal_columns() {
    winsize size{};
    return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

std::string text_of(const ControlOrder& order, const ControlAnswer& answer) {
    if (!answer.outcome.ok) throw std::runtime_error{answer.outcome.sentence};
    const std::size_t columns = terminal_columns();
    switch (order.request.command) {
        case ControlCommand::Status:
            return order.json ? answer.status + '\n' : status_text(parse_status(answer.status), columns);
        case ControlCommand::Deaths:
            return order.json ? answer.deaths + '\n' : deaths_text(parse_deaths(answer.deaths), columns);
        case ControlCommand::Ready:
        case ControlCommand::Workers:
        case ControlCommand::Reload:
        case ControlCommand::Upgrade:
        case ControlCommand::Stop: return answer.outcome.sentence + '\n';
    }
    return {};
}

void print(const std::string& text) {
    if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0) throw_errno("write standard output");
}

/// From the top of the terminal, each line over what was there, and nothing of the old text below.
std::string painted(const std::string& text) {
    std::string all = "\033[H";
    for (const char c : text) all += c == '\n' ? std::string{"\033[K\n"} : std::string(1, c);
    return all + "\033[J";
}

/// Where many ask, who has been silent for longest makes room, and may come back.
ControlAnswer ask_again(ControlLine& line, const ControlOrder& order, const Endpoint& where) {
    try {
        return line.ask(order.request);
    } catch (const ConversationEnded&) { line = ControlLine{where, order.timeout}; }
    return line.ask(order.request);
}

/// A stop in good order is an end in good order: what was watched has been seen to its end.
void watch(const ControlOrder& order, const Endpoint& where) {
    const bool paint = !order.json && ::isatty(STDOUT_FILENO) == 1;
    if (paint) print("\033[2J");
    for (ControlLine line{where, order.timeout};; line.pause(watch_period)) {
        const ControlAnswer answer = ask_again(line, order, where);
        if (answer.stopped) {
            std::fprintf(stderr, "preforkctl: %s\n", answer.outcome.sentence.c_str());
            return;
        }
        const std::string text = text_of(order, answer);
        print(paint ? painted(text) : order.json ? text : text + '\n');
    }
}

}  // namespace

Endpoint control_of(const ControlOrder& order, const char* from_environment, const char* runtime_directory) {
    if (order.control) return *order.control;
    if (from_environment != nullptr && *from_environment != '\0') {
        try {
            return parse_control_endpoint(from_environment);
        } catch (const std::invalid_argument& error) {
            throw std::invalid_argument{fmt::format("PREFORKD_CONTROL: {}", error.what())};
        }
    }
    if (const auto there = control_in_runtime_directory(runtime_directory)) return *there;
    return {.transport = Transport::Unix, .path = std::string{packaged_socket}};
}

void control(const ControlOrder& order) {
    const Endpoint where = control_of(order, std::getenv("PREFORKD_CONTROL"), std::getenv("RUNTIME_DIRECTORY"));
    if (order.watch) return watch(order, where);
    ControlLine line{where, order.timeout};
    print(text_of(order, line.ask(order.request)));
}

}  // namespace preforkd

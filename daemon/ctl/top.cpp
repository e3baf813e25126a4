#include "daemon/ctl/top.hpp"

#include <fmt/chrono.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "common/process/signal_fd.hpp"
#include "daemon/ctl/control_line.hpp"
#include "daemon/ctl/output.hpp"
#include "daemon/ctl/patience.hpp"
#include "daemon/ctl/screen.hpp"
#include "daemon/ctl/several_daemons.hpp"
#include "daemon/ctl/status_feed.hpp"
#include "daemon/ctl/top_frame.hpp"

namespace preforkd {
namespace {

using Look = StatusFeed::Look;

std::string clock_text(std::chrono::system_clock::time_point time) {
    return fmt::format("{:%T}", fmt::localtime(std::chrono::system_clock::to_time_t(time)));
}

/// What there is to be shown, from look to look.
class Watched {
public:
    explicit Watched(const Endpoint& control) { view_.control = to_string(control); }

    void add(Look look) {
        if (view_.has_looked) {
            if (const std::string event = event_between(view_.looks.now, look.status); !event.empty())
                view_.event = fmt::format("{} at {}", event, clock_text(std::chrono::system_clock::now()));
            view_.has_rates = counts_on(look.status, view_.looks.now);
            view_.looks.before = std::move(view_.looks.now);
            view_.looks.between = std::chrono::duration_cast<std::chrono::milliseconds>(look.at - at_);
        }
        view_.has_looked = true;
        view_.looks.now = std::move(look.status);
        view_.deaths = std::move(look.deaths);
        at_ = look.at;
    }

    [[nodiscard]] const TopView& view(std::string trouble = {}) {
        const auto now = std::chrono::system_clock::now();
        view_.now = std::chrono::floor<std::chrono::seconds>(now);
        view_.clock = clock_text(now);
        view_.trouble = std::move(trouble);
        return view_;
    }

private:
    TopView view_{};
    Clock::time_point at_{};
};

/// The screen, its keys and its signals.
class LiveTop {
public:
    LiveTop(const ControlOrder& order, const Endpoint& control)
        : order_{order}, feed_{control, order.timeout}, watched_{control} {}

    /// The signal that has ended it; nullopt: it was left, or has shown what it should.
    std::optional<int> run() {
        Clock::time_point next = Clock::now();
        for (;;) {
            if (const Clock::time_point now = Clock::now(); now >= next) {
                feed_.ask(now);
                next = now + order_.interval;
            }
            if (auto look = feed_.hear(Clock::now())) {
                watched_.add(std::move(*look));
                if (watched_.view().has_rates) ++looks_;
            }
            screen_.paint(frame_of(watched_.view(feed_.trouble()), Screen::size()));
            if (order_.looks && looks_ >= *order_.looks) return std::nullopt;
            std::array<pollfd, 3> watched{
                {{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                 {.fd = screen_.has_keys() ? STDIN_FILENO : -1, .events = POLLIN, .revents = 0},
                 {.fd = feed_.fd(), .events = POLLIN, .revents = 0}}};
            if (!wait_until(next, watched)) continue;
            if (watched[1].revents != 0 && leaves()) return std::nullopt;
            while (const auto signo = signals_.next())
                if (ends(*signo)) return *signo == SIGINT ? std::nullopt : signo;
        }
    }

private:
    /// A terminal that has gone ends it, too.
    static bool leaves() {
        std::array<char, 64> keys{};
        const ssize_t got = ::read(STDIN_FILENO, keys.data(), keys.size());
        if (got == -1) return errno != EINTR && errno != EAGAIN;
        return got == 0 || std::string_view{keys.data(), static_cast<std::size_t>(got)}.find_first_of("qQ") !=
                               std::string_view::npos;
    }

    bool ends(int signo) {
        if (signo == SIGTSTP) {
            screen_.leave();
            ::raise(SIGSTOP);  // goes on here
        }
        if (signo == SIGTSTP || signo == SIGCONT) screen_.enter();
        return signo != SIGTSTP && signo != SIGCONT && signo != SIGWINCH;
    }

    const ControlOrder& order_;
    StatusFeed feed_;
    Watched watched_;
    std::uint64_t looks_ = 0;
    SignalFd signals_{SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGTSTP, SIGCONT, SIGWINCH};
    Screen screen_{};  // behind all that may fail
};

void print_looks(const ControlOrder& order, const Endpoint& control) try {
    Watched watched{control};
    ControlLine line{control, order.timeout};
    // Of one look alone there are no rates.
    for (std::uint64_t looks = 0;; line.pause(order.interval)) {
        Look look{.status = ask_status(line), .at = Clock::now()};
        look.deaths = ask_deaths(line);
        watched.add(std::move(look));
        const TopView& view = watched.view();
        if (!view.has_rates) continue;
        std::string text;
        for (const FrameLine& each : frame_of(view, {.columns = terminal_columns()})) text += each.text + '\n';
        print(text + '\n');
        if (++looks == order.looks) return;
    }
} catch (const DaemonStopped& end) {
    // What was watched has been seen to its end.
    std::fprintf(stderr, "preforkctl: %s\n", harmless(end.what()).c_str());
}

}  // namespace

void top(const ControlOrder& order) {
    if (order.batch) return print_looks(order, the_daemon_of(order));
    if (::isatty(STDOUT_FILENO) != 1)
        throw std::invalid_argument{"top: standard output is no terminal; add --batch, and -n 1 for one look"};
    std::optional<int> ended_by;
    {
        LiveTop live{order, the_daemon_of(order)};
        ended_by = live.run();
    }
    if (ended_by) die_of(*ended_by);
}

}  // namespace preforkd

#include "common/config/copies_check.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>

#include "common/base/quoted.hpp"
#include "common/base/take_until.hpp"
#include "common/base/units.hpp"
#include "common/config/listen_rows.hpp"
#include "common/config/options_table.hpp"

namespace preforkd {
namespace {

/// --print-config writes defaults, too, so a value that was given may well be one.
bool is_default(std::string_view option, const Settings& settings) {
    const OptionRow& row = *find_option(option);
    return row.print(settings) == row.print(Settings{});
}

/// About the socket itself, whoever accepts from it, or about the process that does.
bool suits_copies(std::string_view key) {
    constexpr std::array keys{"backlog", "mode", "user", "group", "v6only", "nodelay", "keepalive", "rcvbuf"};
    return std::ranges::find(keys, key) != keys.end() ||
           std::ranges::any_of(process_rows(), [key](const ListenRow& row) { return row.key.name == key; });
}

class CopiesCheck {
public:
    CopiesCheck(const Settings& settings, const Origins& origins) : settings_{settings}, origins_{origins} {}

    void no_copies() const {
        const auto waits = std::ranges::count_if(settings_.listen, &ListenSettings::inetd_wait);
        for (const std::string_view option : {"pass", "ready", "stop-signal", "reload-signal"})
            if (!is_default(option, settings_) && (option != "stop-signal" || waits == 0))
                refuse(option, "is for programs that accept by themselves; say --run pool, or leave it away");
        for (std::size_t index = 0; index < settings_.listen.size(); ++index)
            if (settings_.listen[index].inetd_wait) waiting(index);
        if (waits == std::ssize(settings_.listen)) clients("inetd=wait");
    }

    void program() const {
        if (settings_.program.empty())
            refuse("run", "pool needs a program that accepts by itself: --run pool -- PROGRAM");
    }

    void workers() const {
        const WorkerCount& workers = settings_.workers;
        if (!workers.automatic && workers.max == 0)
            refuse("workers", "a pool of programs needs workers, and 0 has none; give a number");
        if (settings_.spare)
            refuse("spare", "nobody knows which programs that accept by themselves are busy; leave it away");
    }

    /// `how`: what has the program accept.
    void clients(std::string_view how) const {
        for (const std::string_view option : {"model", "connections", "max-requests", "max-memory", "idle-timeout",
                                              "request-timeout", "line-max", "log-connections"})
            if (!is_default(option, settings_) && (option != "max-memory" || !runs_copies(settings_)))
                refuse(option,
                       fmt::format("has no effect on programs that accept by themselves ({}); leave it away", how));
    }

    void patience() const {
        const auto boot = settings_.boot_timeout;
        if (settings_.ready.kind == ReadyCheck::Kind::Alive && boot.count() != 0 && settings_.ready.alive_for >= boot)
            refuse("ready", fmt::format("alive:{} is no sooner than --boot-timeout {}, which would end every copy; "
                                        "raise that, or lower this",
                                        to_string(settings_.ready.alive_for), to_string(boot)));
    }

    void watchdog() const {
        if (settings_.ready.kind != ReadyCheck::Kind::Notify && !is_default("worker-timeout", settings_))
            refuse("worker-timeout",
                   "a program that accepts by itself tells that it goes on by WATCHDOG=1, for which it "
                   "takes --ready notify; add that, or leave it away");
    }

    void listeners() const {
        for (std::size_t index = 0; index < settings_.listen.size(); ++index) socket_alone(index, "--run pool");
        for (std::size_t index = 1; index < settings_.listen.size(); ++index)
            if (settings_.listen[index].run_as != settings_.listen.front().run_as)
                refuse("listen",
                       fmt::format("{}: each copy of --run pool has all endpoints, so they have to say the same of its "
                                   "process (run-user=, nice= and so on); or have another daemon serve this one",
                                   printable(to_string(settings_.listen[index].endpoint))),
                       index);
    }

private:
    void waiting(std::size_t index) const {
        socket_alone(index, "inetd=wait");
        if (!is_program_at(settings_.listen[index], settings_))
            refuse("listen",
                   fmt::format("{}: inetd=wait needs a program, which gets the socket: program=, or -- PROGRAM",
                               printable(to_string(settings_.listen[index].endpoint))),
                   index);
    }

    void socket_alone(std::size_t index, std::string_view how) const {
        const ListenSettings& listen = settings_.listen[index];
        const std::string endpoint = printable(to_string(listen.endpoint));
        if (listen.tls)
            refuse("listen",
                   fmt::format("{}: with {} the program itself would have to speak TLS; listen at tcp://, "
                               "and give the program the certificate",
                               endpoint, how),
                   index);
        const std::string text = to_string(listen);
        std::string_view rest = text;
        (void)take_until(rest, ' ');
        while (!rest.empty()) {
            const std::string_view word = take_until(rest, ' ');
            const std::string_view key = word.substr(0, word.find('='));
            const bool is_about_it = word == how || (listen.inetd_wait && key == "program");
            if (!suits_copies(key) && !is_about_it)
                refuse("listen",
                       fmt::format("{}: {}= has no effect on programs that accept by themselves ({}); "
                                   "leave it away, or have another daemon serve this endpoint",
                                   endpoint, key, how),
                       index);
        }
    }

    [[noreturn]] void refuse(std::string_view option, std::string_view sentence, std::size_t index = 0) const {
        blame(origin_of(origins_, option, index), option, sentence);
    }

    const Settings& settings_;
    const Origins& origins_;
};

}  // namespace

void check_copies(const Settings& settings, const Origins& origins) {
    const CopiesCheck check{settings, origins};
    if (!runs_copies(settings)) return check.no_copies();
    check.program();
    check.workers();
    check.clients("--run pool");
    check.patience();
    check.watchdog();
    check.listeners();
}

}  // namespace preforkd

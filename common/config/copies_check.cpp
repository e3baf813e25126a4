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
        const bool somebody =
            std::ranges::any_of(settings_.listen, [&](const ListenSettings& each) { return has_own_copies(each); });
        for (const std::string_view option : {"pass", "ready", "stop-signal", "reload-signal"})
            if (const bool has_use = option != "reload-signal" && (somebody || (option == "stop-signal" && waits != 0));
                !has_use && !is_default(option, settings_))
                refuse(option, "is for programs that accept by themselves; say --run pool, or leave it away");
        if (waits == std::ssize(settings_.listen)) clients("inetd=wait");
    }

    /// What endpoints say of themselves.
    void endpoints() const {
        if (settings_.reload_signal && has_services(settings_))
            refuse("reload-signal",
                   "does not go with workers of an endpoint's own (workers=, run=), which a reload exchanges; leave "
                   "one away");
        for (std::size_t index = 0; index < settings_.listen.size(); ++index) {
            const ListenSettings& listen = settings_.listen[index];
            if (has_own_copies(listen)) own_copies(index);
            if (listen.inetd_wait) waiting(index);
            keys_of_copies(index);
        }
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
        if (const std::string why = too_late(settings_.ready); !why.empty()) refuse("ready", why);
    }

    void watchdog() const {
        if (settings_.ready.kind != ReadyCheck::Kind::Notify && !is_default("worker-timeout", settings_))
            refuse("worker-timeout",
                   "a program that accepts by itself tells that it goes on by WATCHDOG=1, for which it "
                   "takes --ready notify; add that, or leave it away");
    }

    void listeners() const {
        const RunAs* first = nullptr;
        for (std::size_t index = 0; index < settings_.listen.size(); ++index) {
            const ListenSettings& listen = settings_.listen[index];
            if (is_service(listen)) continue;
            socket_alone(index, "--run pool");
            if (first == nullptr) first = &listen.run_as;
            if (listen.run_as != *first)
                refuse(
                    "listen",
                    fmt::format("{}: each copy of --run pool has all endpoints, so they have to say the same of its "
                                "process (run-user=, nice= and so on); or give this one copies of its own (workers=)",
                                printable(to_string(listen.endpoint))),
                    index);
        }
    }

private:
    [[nodiscard]] bool has_own_copies(const ListenSettings& listen) const {
        return is_service(listen) && run_mode_of(listen, settings_) == RunMode::Pool;
    }

    /// Empty: it is in time.
    [[nodiscard]] std::string too_late(const ReadyCheck& ready) const {
        const auto boot = settings_.boot_timeout;
        if (ready.kind != ReadyCheck::Kind::Alive || boot.count() == 0 || ready.alive_for < boot) return "";
        return fmt::format(
            "alive:{} is no sooner than --boot-timeout {}, which would end every copy; raise that, or lower this",
            to_string(ready.alive_for), to_string(boot));
    }

    void own_copies(std::size_t index) const {
        const ListenSettings& listen = settings_.listen[index];
        const std::string endpoint = printable(to_string(listen.endpoint));
        if (listen.inetd_wait)
            refuse("listen", endpoint + ": inetd=wait has one program, and run=pool copies of it; leave one away",
                   index);
        socket_alone(index, "run=pool");
        if (!is_program_at(listen, settings_))
            refuse("listen", endpoint + ": run=pool needs a program, which accepts by itself: program=, or -- PROGRAM",
                   index);
        if (const std::string why = too_late(listen.copies.ready.value_or(settings_.ready)); !why.empty())
            refuse("listen", endpoint + ": ready=" + why, index);
        const int workers = listen.workers.value_or(settings_.workers.min);
        const bool passes_one = listen.copies.pass.value_or(settings_.pass) == PassStyle::Fd0;
        if (passes_one && workers != 0 && listen.queues.value_or(1) > workers)
            refuse("listen",
                   fmt::format("{}: pass=fd0 gives a copy one socket, and there are queues={} for {}; ask for fewer, "
                               "or for more workers=",
                               endpoint, *listen.queues, workers == 1 ? "1 copy" : fmt::format("{} copies", workers)),
                   index);
    }

    void keys_of_copies(std::size_t index) const {
        const ListenSettings& listen = settings_.listen[index];
        const bool is_pool = has_own_copies(listen);
        const std::string_view key = listen.copies.pass && !is_pool                                ? "pass"
                                     : listen.copies.ready && !is_pool                             ? "ready"
                                     : listen.copies.stop_signal && !is_pool && !listen.inetd_wait ? "stop-signal"
                                                                                                   : "";
        if (!key.empty())
            refuse("listen",
                   fmt::format("{}: {}= is for a program that accepts by itself; say run=pool, too, or leave it away",
                               printable(to_string(listen.endpoint)), key),
                   index);
    }

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
            const bool is_about_it =
                word == how || key == "stop-signal" || (how != "--run pool" && key == "program") ||
                (how == "run=pool" && (key == "workers" || key == "pass" || key == "ready" || key == "queues"));
            if (key == "queues" && how == "--run pool")
                refuse("listen", endpoint + ": queues= are of copies of its own; say run=pool, too, or leave it away",
                       index);
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
    check.endpoints();
    if (!runs_copies(settings)) return check.no_copies();
    check.program();
    check.workers();
    check.clients("--run pool");
    check.patience();
    check.watchdog();
    check.listeners();
}

}  // namespace preforkd

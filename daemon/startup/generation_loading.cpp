#include "daemon/startup/generation_loading.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <utility>

#include "common/base/operator_error.hpp"
#include "common/base/quoted.hpp"
#include "common/channel/stopping.hpp"
#include "common/config/config_file.hpp"
#include "common/config/control_endpoint.hpp"
#include "common/net/listener_queues.hpp"
#include "common/systemd/socket_takeover.hpp"
#include "common/tls/tls_reading.hpp"
#include "daemon/master/pool/key_process.hpp"
#include "daemon/startup/settings_reading.hpp"
#include "daemon/worker/program/copy_passing.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace {

/// Gives `next` what a running master cannot change, and names what that leaves undone.  So the next reload names it
/// again, as long as the settings ask for it.
std::vector<std::string> keep_what_takes_a_restart(Settings& next, const Settings& before) {
    std::vector<std::string> kept;
    const char* const runtime_directory = std::getenv("RUNTIME_DIRECTORY");
    if (control_place(next.control, runtime_directory) != control_place(before.control, runtime_directory))
        kept.emplace_back("control");
    if (next.name != before.name) kept.emplace_back("name");
    if (next.ready_fd != before.ready_fd) kept.emplace_back("ready-fd");
    next.control = before.control;
    next.name = before.name;
    next.ready_fd = before.ready_fd;
    return kept;
}

std::vector<std::string> say_what_does_not_hold(const std::vector<std::string>& kept, const Takeover& taken) {
    std::vector<std::string> remarks;
    for (const std::string& setting : kept)
        log(LogLevel::Warning, "{setting} cannot be changed by a reload: restart to apply it", {{"setting", setting}});
    if (!kept.empty())
        remarks.push_back(fmt::format("not changed by a reload, restart to apply: {}", fmt::join(kept, ", ")));
    for (const std::string& endpoint : taken.out_of_reach) {
        log(LogLevel::Warning, "the socket file of {endpoint} is missing: restart its .socket unit",
            {{"endpoint", endpoint}});
        remarks.push_back(fmt::format("the socket file of {} is missing: restart its .socket unit", endpoint));
    }
    for (const std::string& endpoint : taken.lost)
        log(LogLevel::Notice, "socket file of {endpoint} missing or replaced; binding it again",
            {{"endpoint", endpoint}});
    return remarks;
}

/// Another program may expect of its socket what the one before has taken back.
void make_blocking_for_others(const std::vector<Listener>& listeners, const Settings& settings,
                              const Generation& current) {
    for (const Listener& listener : listeners) {
        if (run_mode_of(listener.settings, settings) != RunMode::Pool) continue;
        const auto before = std::ranges::find(*current.listeners, listener.local, &Listener::local);
        if (before != current.listeners->end() &&
            program_at(before->settings, *current.settings).front() != program_at(listener.settings, settings).front())
            make_blocking(listener);
    }
}

/// A certificate that is valid is not given up for one that is not.
void refuse_expired(const std::vector<Listener>& next, const std::vector<Listener>& current) {
    const auto now = std::chrono::system_clock::now();
    const auto is_valid = [now](const Listener& listener) {
        return listener.tls && listener.tls->first_expiry().end > now;
    };
    for (const Listener& listener : next)
        if (listener.tls && !is_valid(listener) && std::ranges::any_of(current, [&](const Listener& each) {
                return each.local == listener.local && is_valid(each);
            }))
            throw OperatorError{ExitCode::Configuration, expiry_warning(listener.settings, *listener.tls, now)};
}

/// Of its workers and of the process that observes.
Takeover take_over_all(const Generation& current, const Settings& settings) {
    Takeover taken = take_over_sockets(*current.listeners, settings);
    Takeover observed = take_over_sockets(*current.observed, observed_endpoints(settings), false);
    const auto add = [](auto& to, auto& from) { std::ranges::move(from, std::back_inserter(to)); };
    add(taken.listeners, observed.listeners);
    add(taken.unbound, observed.unbound);
    add(taken.kept, observed.kept);
    add(taken.lost, observed.lost);
    add(taken.out_of_reach, observed.out_of_reach);
    return taken;
}

class ServiceLoading final : public Loading {
public:
    explicit ServiceLoading(const StartUp& start_up) : start_up_{start_up} {}
    ServiceLoading(const StartUp& start_up, Invocation invocation) : start_up_{start_up} { use(std::move(invocation)); }
    ServiceLoading(const StartUp& start_up, Planned planned)
        : start_up_{start_up}, invocation_{std::move(planned.invocation)}, plan_{std::move(planned.plan)} {}

    std::optional<Generation> go_on(const Generation& current, EpollSet& events, Clock::time_point now) override {
        if (keys_) return wait_for_keys(current, now);
        if (!invocation_ && !read_settings(*current.settings, now)) return std::nullopt;
        for (HandlerTrial& trial : trials_) trial.call().mind_the_time(now);
        if (!std::ranges::all_of(trials_, [](const HandlerTrial& trial) { return trial.call().over(); }))
            return std::nullopt;
        if (!std::exchange(checked_, true)) check(current);
        if (next_try_ && !has_passed(next_try_, now)) return std::nullopt;
        Takeover taken = take_over_all(current, *plan_->settings);
        auto bound = bind(taken, now);
        if (!bound) return std::nullopt;
        std::ranges::copy(taken.kept, std::back_inserter(kept_));
        std::ranges::move(say_what_does_not_hold(kept_, taken), std::back_inserter(remarks_));
        for (const Listener& listener : *bound) say_where_it_listens(listener);
        make_blocking(*bound, *plan_->settings);
        std::ranges::move(*bound, std::back_inserter(taken.listeners));
        try {
            std::ranges::move(open_more_queues(taken.listeners, plan_->settings->backlog, Listens::Later),
                              std::back_inserter(taken.listeners));
            take_listeners(*plan_, std::move(taken.listeners));
            refuse_expired(*plan_->listeners, *current.listeners);
            make_blocking_for_others(*plan_->listeners, *plan_->settings, current);
            keys_ = key_process_of(plan_);
            if (!keys_) return finish();
            keys_->begin(now);
            keys_->wake(events);
        } catch (const std::exception&) {
            close_what_was_added(current);
            throw;
        }
        return std::nullopt;
    }

    [[nodiscard]] Deadline deadline() const override {
        Deadline next = next_try_;
        if (reading_) next = earlier(next, reading_->deadline());
        if (keys_) next = earlier(next, keys_->deadline());
        for (const HandlerTrial& trial : trials_) next = earlier(next, trial.call().deadline());
        return next;
    }

    bool reap(pid_t pid) override {
        return (reading_ && reading_->reap(pid)) || (keys_ && keys_->reap(pid, Clock::now())) ||
               std::ranges::any_of(trials_, [&](HandlerTrial& trial) { return trial.call().reap(pid); });
    }

    void give_up() override {
        if (reading_) reading_->give_up();
        if (keys_) keys_->give_up();
        for (HandlerTrial& trial : trials_) trial.call().give_up();
    }

private:
    Generation finish() {
        Generation next = to_generation(plan_, std::move(keys_));
        next.remarks = std::move(remarks_);
        return next;
    }

    /// All else is there.
    std::optional<Generation> wait_for_keys(const Generation& current, Clock::time_point now) {
        try {
            if (!keys_->becomes_ready(now)) return std::nullopt;
        } catch (const std::exception&) {
            close_what_was_added(current);
            throw;
        }
        return finish();
    }

    /// No socket file of a generation that never was.
    void close_what_was_added(const Generation& current) {
        if (!plan_->listeners) return;
        std::vector<Listener> added;
        for (const std::uint32_t index : only_in(*plan_->listeners, *current.listeners))
            added.push_back(std::move((*plan_->listeners)[index]));
        close_for_good(added);
    }

    /// Whether they have been read, in a child that is begun first.
    bool read_settings(const Settings& in_force, Clock::time_point now) {
        if (!reading_) reading_ = begin_reading_settings(start_up_, in_force.boot_timeout);
        if (reading_) {
            reading_->mind_the_time(now);
            if (!reading_->over()) return false;
        }
        use(reading_ ? read_daemon_options(start_up_, reading_->result()) : read_daemon_options(start_up_));
        return true;
    }

    void use(Invocation invocation) {
        trials_ = begin_trials(start_up_.handlers, invocation.settings, invocation.origins);
        invocation_ = std::move(invocation);
    }

    void check(const Generation& current) {
        if (!plan_) plan_ = plan_generation(*invocation_, start_up_, trials_);
        Settings in_force = *plan_->settings;
        kept_ = keep_what_takes_a_restart(in_force, *current.settings);
        plan_->settings = std::make_shared<const Settings>(std::move(in_force));
        refuse_other_way_of_running(*plan_->settings, current.settings->run, *current.listeners);
        const WorkerCount& workers = plan_->settings->workers;
        if (!workers.automatic && workers.max == 0)
            throw OperatorError{ExitCode::Configuration,
                                "--workers 0 needs a restart: a running master cannot become the one worker"};
        for (const std::string& notice : invocation_->notices) log(LogLevel::Notice, notice);
        for (const std::string& notice : plan_->notices) log(LogLevel::Notice, notice);
        for (const std::string& warning : invocation_->warnings) log(LogLevel::Warning, warning);
        if (std::string remark = check_emptied_config(current.config_text, *invocation_); !remark.empty()) {
            log(LogLevel::Warning, remark);
            remarks_.push_back(std::move(remark));
        }
    }

    /// Opens what is new; nullopt: an address is in use, and will be tried again.
    std::optional<std::vector<Listener>> bind(const Takeover& taken, Clock::time_point now) {
        // Before anything is bound, which would have to be undone: those to be bound have been checked.
        for (const Listener& listener : taken.listeners)
            if (listener.settings.serves == Serves::Clients) check_cell(*plan_, listener.settings, listener.local);
        try {
            return bind_listeners(taken.unbound, plan_->settings->backlog, WhenTaken::Fail);
        } catch (const AddressTaken& error) {
            if (tries_ == bind_retries) throw;
            // Workers of a generation before, or a daemon that is just ending, may need a moment to let go of it.
            if (++tries_ == 1)
                log(LogLevel::Notice, "retrying for {retry_ms} ms: {cause}",
                    {{"retry_ms", std::int64_t{(bind_retries * between_bind_retries).count()}},
                     {"cause", error.what()}});
            next_try_ = now + between_bind_retries;
            return std::nullopt;
        }
    }

    const StartUp& start_up_;
    std::optional<ChildCall> reading_{};
    std::optional<Invocation> invocation_{};  ///< once it has been read
    std::vector<HandlerTrial> trials_{};
    std::shared_ptr<GenerationPlan> plan_{};  ///< once the trials are over
    std::shared_ptr<KeyProcess> keys_{};      ///< once it has begun to read them
    bool checked_ = false;
    std::vector<std::string> kept_{};  ///< settings that take a restart
    std::vector<std::string> remarks_{};
    int tries_ = 0;
    Deadline next_try_{};
};

}  // namespace

void refuse_other_way_of_running(const Settings& next, RunMode run, const std::vector<Listener>& listeners) {
    if (next.run != run)
        throw OperatorError{ExitCode::Configuration,
                            "--run cannot be changed by a reload or an upgrade, since both would accept from the same "
                            "sockets: restart to apply it"};
    const Settings others{.run = run};
    for (const ListenSettings& listen : next.listen) {
        bool is_new = true, same_inetd = false, same_run = false;
        for (const Listener& before : listeners) {  // of port 0 there may be several
            if (before.settings.endpoint != listen.endpoint) continue;
            const bool same = before.settings.inetd_wait == listen.inetd_wait;
            is_new = false;
            same_inetd |= same;
            same_run |= same && run_mode_of(before.settings, others) == run_mode_of(listen, next);
        }
        if (is_new || same_run) continue;
        throw OperatorError{ExitCode::Configuration,
                            fmt::format("--listen {}: {} cannot be changed by a reload or an upgrade, since both would "
                                        "accept from the same socket: restart to apply it",
                                        printable(to_string(listen.endpoint)), same_inetd ? "run=" : "inetd=")};
    }
}

BeginLoading load_generation(const StartUp& start_up, std::optional<Planned> first) {
    return [&start_up, first = std::move(first)](const Generation* keep) mutable -> std::unique_ptr<Loading> {
        if (auto planned = std::exchange(first, std::nullopt))
            return std::make_unique<ServiceLoading>(start_up, std::move(*planned));
        if (keep == nullptr) return std::make_unique<ServiceLoading>(start_up);
        return std::make_unique<ServiceLoading>(
            start_up, Invocation{.settings = *keep->settings, .config_text = keep->config_text});
    };
}

std::string check_emptied_config(const std::optional<std::string>& before, const Invocation& now) {
    if (!before || !now.config_text) return "";
    switch (compare_configs(*before, *now.config_text)) {
        case Emptied::No: break;
        case Emptied::AllCommented:
            return fmt::format("{} holds no setting any more, only comments", printable(now.config_file));
        case Emptied::Blank:
            throw OperatorError{ExitCode::Configuration,
                                fmt::format("{}: is empty, and held settings before; write it again, or a comment into "
                                            "it if the defaults are meant",
                                            printable(now.config_file))};
    }
    return "";
}

}  // namespace preforkd

#include "daemon/master/reload/reloader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/base/counted.hpp"
#include "common/channel/stopping.hpp"
#include "common/config/options_table.hpp"
#include "common/log/log_output.hpp"
#include "common/systemd/socket_takeover.hpp"
#include "common/systemd/stored_listeners.hpp"
#include "daemon/master/pool/ordered_size.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

// Workers hear at once that they should leave; one that does not, since its handler blocks or it is stopped, has been
// told otherwise too, see WorkerRecord::told_to_leave, and is not waited for.
constexpr auto patience_with_old_queues = 1s;
/// They are asked in the memory that they share with the master, since their reports have to be understood by older
/// images.
constexpr auto between_looks_at_queues = 2ms;

/// Closes the master's copies of a generation that is over; those at `indices`, which no other has, for good.
void close_generation(std::vector<Listener>& listeners, const std::vector<std::uint32_t>& indices) {
    std::vector<Listener> closing;
    for (const std::uint32_t index : indices) closing.push_back(std::move(listeners[index]));
    close_for_good(closing);
    listeners.clear();  // others that still refer to the generation must not keep a queue alive
}

/// What `going` has and `staying` has not, of what is not for clients.
void close_observed(const Generation& going, const Generation& staying) {
    close_generation(*going.observed, only_in(*going.observed, *staying.observed));
}

/// Throws what open_log() throws, and then what `next` had bound is closed again.
void open_new_log(Generation& next, const Generation& current) {
    try {
        open_log(next.settings->log);
    } catch (const std::exception&) {
        close_generation(*next.listeners, only_in(*next.listeners, *current.listeners));
        close_observed(next, current);
        throw;
    }
}

/// A log that cannot be opened is the reload's failure if it is new, and a sentence if it is the old one.
void reopen_old_log(const LogSettings& settings) {
    try {
        open_log(settings);
    } catch (const std::exception& error) {
        log(LogLevel::Error, "the old log was not opened again: {cause}", {{"cause", error.what()}});
    }
}

std::string describe(const Generation& current, const Generation& before) {
    const std::string size = counted(static_cast<std::uint64_t>(current.pool.workers), "worker");
    std::string sentence =
        fmt::format("generation {} serves with {}{}", current.number, size, remark_on_size(current, before));
    for (const std::string& remark : current.remarks) sentence += "; " + remark;
    return sentence;
}

}  // namespace

Reloader::Reloader(Pool& pool, SystemdNotify& systemd, BeginLoading load)
    : pool_{pool}, systemd_{systemd}, load_{std::move(load)}, last_number_{pool.current().number} {}

void Reloader::ask(bool force, Clock::time_point now, Answer answer) {
    if (stopping_) {
        log(LogLevel::Notice, "no reload: the service is stopping");
        if (answer) answer({.done = false, .sentence = "the service is stopping"});
        return;
    }
    read_settings_ = true;
    if (answer) asked_.push_back(std::move(answer));
    const Slots slots = busy() || proves_ || force ? Slots::Free : pool_.slots(now);
    if (slots == Slots::SoonFree || slots == Slots::FreeInTime)
        log(LogLevel::Notice, "the reload waits: too many workers that others have replaced are still draining");
    feed(ReloadAsked{.force = force}, now);
}

void Reloader::prove(Clock::time_point now, Answer answer) {
    proves_ = true;
    ask(false, now, std::move(answer));
}

void Reloader::offer_conditions(bool running, Clock::time_point now) {
    feed(LoadingGoesOn{}, now);
    if (pool_.next_ready()) feed(GenerationReady{}, now);
    if (pool_.next_hopeless()) feed(GenerationHopeless{}, now);
    look_who_accepts(now);
    if (const Generation* next = pool_.next())
        if (const Deadline until = pool_.boot_extended_to(next->number)) feed(BootExtended{*until}, now);
    if (has_passed(life_.deadline, now)) feed(ReloadLate{}, now);
    next_look_.reset();
    if (running && (life_.phase == ReloadPhase::Waiting || life_.phase == ReloadPhase::Clearing)) look_for_slots(now);
}

/// An upgrade's generation has to come: the image before has found slots for it.  What is bound again waits; nobody
/// could be told that it is refused.
void Reloader::look_for_slots(Clock::time_point now) {
    constexpr std::chrono::milliseconds period{500};
    const Slots slots = proves_ ? Slots::Free : pool_.slots(now);
    if (slots != Slots::Free) next_look_ = now + period;
    switch (slots) {
        case Slots::Free: return feed(GenerationAllowed{}, now);
        case Slots::SoonFree: return;
        case Slots::FreeInTime: return feed(SlotsLacking{}, now);
        case Slots::Taken: return feed(SlotsLacking{.for_long = read_settings_}, now);
    }
}

void Reloader::stop(Clock::time_point now) {
    stopping_ = true;
    feed(ServiceStops{}, now);
}

void Reloader::feed(const ReloadEvent& event, Clock::time_point now) {
    auto [next, actions] = step(life_, event);
    life_ = next;
    for (const ReloadAction action : actions) perform(action, now);
}

void Reloader::perform(ReloadAction action, Clock::time_point now) {
    switch (action) {
        case ReloadAction::EndOldest:
            log(LogLevel::Notice, "terminating the oldest draining workers for a reload");
            return pool_.end_oldest(now);
        case ReloadAction::RefuseFull: return refuse_full(now);
        case ReloadAction::Load: return load(now);
        case ReloadAction::GoOn: return go_on(now);
        case ReloadAction::GiveUp: return give_up();
        case ReloadAction::Commit: return commit(now);
        case ReloadAction::Conclude: return finish({.done = true, .sentence = std::exchange(reloaded_to_, {})});
        case ReloadAction::Abandon: return abandon(now);
        case ReloadAction::Refuse: return finish({.done = false, .sentence = "the service is stopping"});
    }
}

void Reloader::answer_from_now_on() {
    std::ranges::move(std::exchange(asked_, {}), std::back_inserter(waiting_));
    systemd_.reloading();
}

void Reloader::refuse_full(Clock::time_point now) {
    answer_from_now_on();
    reads_settings_ = std::exchange(read_settings_, false);
    finish({.done = false, .sentence = pool_.why_no_slots(now)});
}

void Reloader::load(Clock::time_point now) {
    answer_from_now_on();
    log(LogLevel::Notice, "reloading");
    go_on(now);
}

void Reloader::go_on(Clock::time_point now) {
    try {
        if (!loading_) {
            reads_settings_ = std::exchange(read_settings_, false);
            loading_ = load_(reads_settings_ ? nullptr : &pool_.current());
        }
        std::optional<Generation> next = loading_->go_on(pool_.current(), pool_.events(), now);
        if (!next) return;
        loading_.reset();
        is_for_copies(*next) ? tell_copies(now) : boot(std::move(*next), now);
    } catch (const std::exception& error) {
        give_up();
        feed(GenerationRefused{}, now);
        finish({.done = false, .sentence = error.what()});
    }
}

/// Nothing of ours would change, so it can only be meant for what the programs themselves read.
bool Reloader::is_for_copies(const Generation& next) const {
    return reads_settings_ && next.settings->reload_signal && pool_.current().body &&
           same_settings(*next.settings, *pool_.current().settings);
}

void Reloader::tell_copies(Clock::time_point now) {
    pool_.reload_copies();
    feed(GenerationRefused{}, now);
    finish({.done = true,
            .sentence = counted(static_cast<std::uint64_t>(pool_.current().pool.workers), "program") +
                        " told by --reload-signal to read their settings"});
}

void Reloader::boot(Generation next, Clock::time_point now) {
    carry_ordered_size(next, pool_.current());
    next.number = ++last_number_;
    next.binds_again = !reads_settings_;
    if (next.settings->log != pool_.current().settings->log) open_new_log(next, pool_.current());
    store_listeners(systemd_, *next.listeners);  // its workers have to know which outlive them
    Deadline deadline = deadline_after(now, next.pool.boot_timeout);
    std::optional<RollingReload> rolling;
    if (next.settings->reload == ReloadMode::Rolling) {
        deadline.reset();  // each worker has its own, and those that leave are waited for
        rolling = {.dropped = only_in(*pool_.current().listeners, *next.listeners),
                   .added = only_in(*next.listeners, *pool_.current().listeners)};
    }
    pool_.boot(std::move(next), std::move(rolling));
    pool_.maintain(now);  // forks them: the loop goes to sleep next
    feed(GenerationBooting{deadline}, now);
}

void Reloader::give_up() {
    if (loading_) loading_->give_up();
    loading_.reset();
}

void Reloader::commit(Clock::time_point now) {
    const Generation before = pool_.current();
    const Generation& next = *pool_.next();
    const std::vector<std::uint32_t> dropped = only_in(*before.listeners, *next.listeners);
    for (const std::uint32_t index : dropped) {
        forget_listener(systemd_, (*before.listeners)[index]);
        if ((*before.listeners)[index].queue == 0)
            log(LogLevel::Notice, "no longer listening on {endpoint}",
                {{"endpoint", to_string((*before.listeners)[index].local)}});
    }
    try {
        change_sockets(*next.listeners, next.settings->backlog);
    } catch (const std::exception& error) {
        log(LogLevel::Error, "a listener keeps its options: {cause}", {{"cause", error.what()}});
    }
    close_generation(*before.listeners, dropped);
    close_observed(before, next);
    const bool has_more_queues =
        std::ranges::any_of(*next.listeners, [](const Listener& each) { return each.queue != 0; });
    pool_.commit(dropped, now);
    if (has_more_queues) pool_.have_all_look();  // some may listen only now
    reloaded_to_ = describe(pool_.current(), before);
    feed(GenerationLeaving{now + patience_with_old_queues}, now);
    next_queue_look_ = now;
}

/// Who asked for a reload may call at once, and shall meet the new generation.
void Reloader::look_who_accepts(Clock::time_point now) {
    if (life_.phase != ReloadPhase::Leaving) return next_queue_look_.reset();
    next_queue_look_ = now + between_looks_at_queues;
    if (!pool_.old_ones_accept()) feed(OldQueuesLeft{}, now);
}

void Reloader::abandon(Clock::time_point now) {
    const Generation failed = *pool_.next();
    const ReloadOutcome outcome{.done = false,
                                .sentence = stopping_ ? "the service is stopping" : pool_.why_next_failed()};
    const std::vector<std::uint32_t> added = only_in(*failed.listeners, *pool_.current().listeners);
    for (const std::uint32_t index : added) forget_listener(systemd_, (*failed.listeners)[index]);
    close_generation(*failed.listeners, added);
    close_observed(failed, pool_.current());
    pool_.abandon(added, now);
    if (failed.settings->log != pool_.current().settings->log) reopen_old_log(pool_.current().settings->log);
    finish(outcome);
}

std::string Reloader::status() const {
    const std::string line = status_line(pool_.counts());
    return refusal_.empty() ? line : "reload failed: " + refusal_ + "; " + line;
}

void Reloader::finish(const ReloadOutcome& outcome) {
    if (outcome.done)
        log(LogLevel::Notice, "reloaded: {outcome}", {{"outcome", outcome.sentence}});
    else if (stopping_)
        log(LogLevel::Notice, "reload canceled: the service is stopping");
    else
        log(LogLevel::Error, "reload failed, nothing has changed: {cause}", {{"cause", outcome.sentence}});
    if (reads_settings_) refusal_ = outcome.done ? std::string{} : outcome.sentence;
    if (!std::exchange(proves_, false) && reads_settings_ && !stopping_) pool_.count_reload(outcome.done);
    if (!stopping_) systemd_.ready(status());
    if (stopping_ && !outcome.done) std::ranges::move(std::exchange(asked_, {}), std::back_inserter(waiting_));
    for (const Answer& answer : std::exchange(waiting_, {})) answer(outcome);
}

}  // namespace preforkd

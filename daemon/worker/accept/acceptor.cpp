#include "daemon/worker/accept/acceptor.hpp"

#include <poll.h>

#include <cstring>
#include <utility>
#include <vector>

#include "daemon/worker/accept/accept_errors.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr int failures_taken_for_pause = 8;  // an LSM's EPERM leaves the connection queued
constexpr int vain_before_a_look = 16;       // siblings are faster now and then
constexpr auto rest_period = 500ms;
constexpr auto max_period = 500ms;  // see Acceptor::wait_below_max()
constexpr std::chrono::nanoseconds quick_succession = 100ms;
constexpr auto handshake_grace = 200ms;  // for handshakes under way when the listener was closed to new ones
constexpr int longest_queue = 4096;      // the default backlog

}  // namespace

Acceptor::Acceptor(Reactor& reactor, WorkerRecord& record, AcceptorSettings settings)
    : reactor_{reactor},
      record_{record},
      settings_{std::move(settings)},
      rest_timer_{reactor.make_timer()},
      losses_{reactor, [this] { count_drops(); }} {}

void Acceptor::add(Listener& listener, std::uint32_t index, Take take, int turn) {
    Entry& entry = entries_.emplace_back(listener, index, std::move(take), turn);
    entry.is_handed_over = listener.settings.inetd_wait;
    gives_handed_over_ = gives_handed_over_ || listener.settings.inetd_wait;
    has_max_ = has_max_ || listener.settings.limits.max || listener.settings.inetd_wait;
    entry.queue = reactor_.share(std::move(listener.fd), [this, &entry] { on_readable(entry); });
    if (settings_.lifeline != nullptr)
        entry.on_lifeline.emplace(*settings_.lifeline, entry.queue->fd(), reactor_.epoll_fd());
}

void Acceptor::open() {
    state_ = State::Open;
    record_.accepting.store(Accepting::Yes, std::memory_order_relaxed);
    join_all();
    enter(record_, WorkerState::Idle);
    ask_for_handed_over();
}

void Acceptor::on_readable(Entry& entry) {
    if (state_ == State::Open && told_to_leave()) return pass_on();
    // An event may have been on its way when we left the queue.
    if (state_ == State::Open && take_from(entry) == Attempt::Taken && state_ == State::Open &&
        ++entry.taken_in_turn == entry.turn) {
        entry.taken_in_turn = 0;
        entry.queue->yield_turn();
    }
    settings_.awake();
}

void Acceptor::look() {
    if (taking_) return about_to_block();
    if (state_ == State::Open && told_to_leave()) return pass_on();
    for (Entry& entry : entries_)
        for (int left = takes_per_turn; left > 0 && state_ == State::Open; --left)
            if (const Attempt attempt = take_from(entry); attempt != Attempt::Taken && attempt != Attempt::Lost) break;
    // A sibling without capacity cannot help: pass it on.
    if (state_ == State::Full && somebody_waits()) settings_.ask_sibling();
}

/// The order to leave is on its way, and whom we took now would get what has been replaced.
void Acceptor::pass_on() {
    leave_all();
    // A client that came before woke us alone.
    if (somebody_waits()) settings_.ask_sibling();
}

void Acceptor::about_to_block() {
    // Later ones wake somebody else, since we sleep in no epoll_wait(); these may have woken us alone.
    if (state_ == State::Open && somebody_waits()) settings_.ask_sibling();
    if (!told_full_ && active() >= settings_.limit) tell_full();
}

Acceptor::Attempt Acceptor::take_from(Entry& entry) {
    taking_ = true;
    const int error = entry.take(entry.queue->fd());
    taking_ = false;
    if (error == at_max) return wait_below_max(entry), Attempt::AtMax;
    if (error == handed_over) {
        entry.queue->leave();
        entry.is_handed_over = true;
        return check_limit(), Attempt::Nobody;
    }
    const bool was_at_max = std::exchange(entry.at_max, false);
    const bool is_back = error != not_now && std::exchange(entry.is_handed_over, false);
    if ((was_at_max || is_back) && state_ == State::Open) entry.queue->join();
    if (error != 0) return on_error(entry, error);
    failures_in_row_ = 0;
    entry.vain_in_row = 0;
    said_resting_ = false;
    check_limit();
    return Attempt::Taken;
}

Acceptor::Attempt Acceptor::on_error(Entry& entry, int error) {
    if (error == not_now) {
        if (state_ == State::Open) rest();
        return Attempt::Stopped;
    }
    AcceptVerdict verdict = classify_accept_error(error);
    const bool listens_later =
        error == EINVAL && (entry.listener.queues > 1 || is_surplus(entry.listener));  // or never again
    if (verdict != AcceptVerdict::Wait && !listens_later) record_.accept_errors.add(error);
    // Shut down, it wakes us for ever and says nothing: a listener would have EINVAL.
    if (verdict == AcceptVerdict::Wait && is_datagram(entry.listener.local.transport) &&
        ++entry.vain_in_row == vain_before_a_look) {
        entry.vain_in_row = 0;
        if (is_shut_down(entry.queue->fd())) verdict = classify_accept_error(error = ESHUTDOWN);
    }
    const bool client_is_lost = verdict == AcceptVerdict::Again;
    if (client_is_lost && ++failures_in_row_ >= failures_taken_for_pause) verdict = AcceptVerdict::Pause;
    switch (verdict) {
        case AcceptVerdict::Wait: return Attempt::Nobody;
        case AcceptVerdict::Again: return Attempt::Lost;
        case AcceptVerdict::Pause:
            if (!std::exchange(said_resting_, true))
                log(LogLevel::Warning, "cannot accept connections on {listener}; retrying every 500 ms: {cause}",
                    {{"cause", std::strerror(error)}, {"listener", to_string(entry.listener.local)}});
            if (state_ == State::Open) rest();
            return client_is_lost ? Attempt::Stopped : Attempt::Short;
        case AcceptVerdict::Stop:
            entry.queue->leave();
            entry.is_handed_over = listens_later;
            log(LogLevel::Debug, "{listener} is gone: {cause}",
                {{"cause", std::strerror(error)}, {"listener", to_string(entry.listener.local)}});
            return Attempt::Nobody;  // and others' queues can be emptied
    }
    return Attempt::Stopped;
}

ListenerCounter& Acceptor::open_counter(const Listener& listener) {
    if (listener.queue != 0)
        for (std::size_t at = 0; at < counted_.size(); ++at)
            if (counted_[at]->local == listener.local) return counters_[at];
    counted_.push_back(&listener);
    const std::size_t index = row_of_listener(counters_.size());
    ListenerRow& row = index < settings_.rows.size() ? settings_.rows[index] : own_rows_.emplace_back();
    return counters_.emplace_back(*this, listener, row, record_.traffic, settings_.writers);
}

void Acceptor::take_place(Clock::time_point now) {
    count(record_.active);
    enter(record_, WorkerState::InHandler, now);
}

CountedClient Acceptor::taken(ListenerCounter* listener) {
    const auto now = exact_time();
    take_place(now);
    const std::int64_t now_ns = now.time_since_epoch().count();
    if (listener != nullptr) listener->came(now_ns);
    return {.listener = listener, .came_ns = now_ns};
}

void Acceptor::admitted() {
    count(record_.accepted);
    if (settings_.retire_after != 0 && record_.accepted.load(std::memory_order_relaxed) == settings_.retire_after)
        settings_.ask_retirement();
    // A reader a little later sees what becomes of clients that come in quick succession.
    told_full_ = false;
    if (active() >= settings_.limit && since_told_full() >= quick_succession) tell_full();
}

CountedClient Acceptor::begun(ListenerCounter* listener) {
    const CountedClient client = taken(listener);
    admitted();
    return client;
}

void Acceptor::datagram_begun(ListenerCounter& listener) {
    const auto now = recent_time();
    take_place(now);
    listener.came(now.time_since_epoch().count());
    admitted();
}

void Acceptor::wait_for_client() noexcept {
    enter(record_, draining() ? WorkerState::Draining : WorkerState::WaitingForClient);
}

void Acceptor::start(const std::function<void()>& serve) {
    enter(record_, WorkerState::InHandler);
    taking_ = true;
    serve();
    taking_ = false;
    if (state_ == State::Emptying) return empty_queue();
    settings_.awake();
}

void Acceptor::cancel_unstarted() {
    for (const std::shared_ptr<Unstarted>& each : unstarted_) each->cancel();
}

void Acceptor::tell_full() {
    told_full_ = true;
    if (!settings_.full || since_told_full() < settings_.between_full) return;
    told_full_at_ns_ = record_.since_ns.load(std::memory_order_relaxed);
    settings_.full();
}

void Acceptor::ended(const CountedClient& client, std::optional<ConnectionOutcome> outcome) {
    losses_.look();  // a thread, a child or a coroutine may have lost its reply
    count(record_.served);
    leave_place(client, outcome);
}

void Acceptor::leave_place(const CountedClient& client, std::optional<ConnectionOutcome> outcome) {
    const auto now = exact_time();
    if (client.listener != nullptr) {
        client.listener->gone(now.time_since_epoch().count());
        if (outcome) client.closed(*outcome, now.time_since_epoch().count());
    }
    record_.active.store(active() - 1, std::memory_order_relaxed);
    // Elsewhere it is a thread or a child that has run the handler.
    if (settings_.writers == Writers::One)
        leave_handler(record_, state_at_rest(), now);
    else
        enter(record_, state_at_rest(), now);
    go_on();
}

void Acceptor::datagram_ended(ListenerCounter& listener, std::optional<ConnectionOutcome> outcome) {
    losses_.look();
    count(record_.served);
    const auto now = recent_time();
    listener.gone(now.time_since_epoch().count());
    if (outcome) listener.closed(*outcome);
    record_.active.store(active() - 1, std::memory_order_relaxed);
    enter(record_, state_at_rest(), now);
    go_on();
}

WorkerState Acceptor::state_at_rest() const noexcept {
    if (draining()) return WorkerState::Draining;
    return active() == 0 ? WorkerState::Idle : WorkerState::WaitingForClient;
}

/// One client fewer, which may be what others have waited for.
void Acceptor::go_on() {
    if (state_ == State::Full) {
        state_ = State::Open;
        join_all();  // an ADD reports at once if somebody is queued
    }
    if (some_at_max_) join_those_at_max();
    if (has_max_ && draining()) settings_.ask_sibling();       // it may be a place at one that we do not fill
    if (state_ == State::Emptying && !taking_) empty_queue();  // else the loop that takes goes on
}

void Acceptor::check_limit() {
    if (state_ != State::Open || active() < settings_.limit) return;
    state_ = State::Full;
    leave_all();
    // A client that came between our last look and the leaving woke us alone.
    if (somebody_waits()) settings_.ask_sibling();
    if (!told_full_) tell_full();
}

void Acceptor::rest() {
    state_ = State::Resting;
    leave_all();
    settings_.ask_sibling();
    rest_timer_->set(rest_period, [this] {
        if (state_ != State::Resting) return;
        state_ = State::Open;
        join_all();
        check_limit();
    });
}

void Acceptor::close(const ClosingListeners& closing) {
    if (draining()) return;
    const bool had_capacity = state_ == State::Open && !told_to_leave();
    state_ == State::Open && !had_capacity ? pass_on() : leave_all();
    rest_timer_->cancel();
    state_ = State::Emptying;
    for (Entry& entry : entries_) {
        // Sockets passed by systemd stay open there: its next service is the one to serve their queue.
        // One that is named closes all the same.
        entry.closes_for_good = closing.indices.contains(entry.index) || (closing.all && !entry.listener.outlives_us());
        // Bounded by what the kernel can have queued, because an abstract Unix address still takes new clients.  And
        // one take for a wake-up that may be in our hands alone.
        const bool was_in_queue = had_capacity && !std::exchange(entry.at_max, false);
        // What waits for a program is the next one's, or nobody's: one that began now might serve on for long.
        entry.still_to_take = entry.listener.settings.inetd_wait ? 0
                              : entry.closes_for_good ? entry.listener.settings.backlog.value_or(longest_queue) + 1
                              : was_in_queue && settings_.has_siblings ? 1
                                                                       : 0;
    }
    record_.accepting.store(Accepting::No, std::memory_order_relaxed);
    if (!taking_) return empty_queue();
    // A blocking handler has heard of it: the entry that called it must outlive it.
    rest_timer_->set(0ms, [this] { empty_queue(); });
}

void Acceptor::empty_queue() {
    if (state_ != State::Emptying) return;
    for (Entry& entry : entries_)
        for (; entry.still_to_take > 0; --entry.still_to_take) {
            if (active() >= settings_.limit) return;  // goes on when a client has gone
            const Attempt attempt = take_from(entry);
            if (attempt == Attempt::Taken || attempt == Attempt::Lost) continue;
            if (attempt == Attempt::Short) return rest_while_emptying();
            if (attempt == Attempt::Stopped && active() > 0) return;  // goes on when a client has gone
            break;
        }
    count_drops();  // while it can be asked
    // A listener with no client left must not keep its address either: a new client is better refused than kept
    // waiting.
    std::erase_if(entries_,
                  [this](const Entry& entry) { return !entry.at_max && (last_look_ || entry.still_to_take == 0); });
    if (std::exchange(gives_handed_over_, false)) settings_.ask_sibling();
    if (active() == 0) {
        state_ = State::Closed;
        entries_.clear();
        settings_.finished();
    } else if (!entries_.empty() && !std::exchange(awaiting_handshakes_, true)) {
        rest_timer_->set(handshake_grace, [this] {
            last_look_ = true;
            empty_queue();
        });
    }
}

/// Out of descriptors or memory, perhaps by the fault of others: no queued client shall pay for that.
void Acceptor::rest_while_emptying() {
    rest_timer_->set(rest_period, [this] {
        last_look_ = awaiting_handshakes_;
        empty_queue();
    });
}

void Acceptor::leave_all() {
    for (Entry& entry : entries_) entry.queue->leave();
}

void Acceptor::join_all() {
    for (Entry& entry : entries_) {
        entry.at_max = false;
        if (!entry.is_handed_over) entry.queue->join();
    }
    some_at_max_ = false;
}

void Acceptor::ask_for_handed_over() {
    for (Entry& entry : entries_)
        if (entry.is_handed_over && state_ == State::Open) (void)take_from(entry);
}

void Acceptor::take_back(const Listener& listener) {
    for (Entry& entry : entries_)
        if (&entry.listener == &listener && std::exchange(entry.is_handed_over, false) && state_ == State::Open)
            entry.queue->join();
}

/// Whoever lets a client of the listener go joins again, and the place is his to fill; where he was killed the master
/// has a sibling look.  The timer is for all that is left: he leaves, is full or runs a handler, or two have met at the
/// last place.
void Acceptor::wait_below_max(Entry& entry) {
    entry.queue->leave();
    entry.at_max = state_ != State::Emptying || entry.closes_for_good;
    if (!entry.at_max) entry.still_to_take = 0;  // its queue is the siblings'
    if (state_ != State::Open) return;
    some_at_max_ = true;
    if (!max_timer_) max_timer_ = reactor_.make_timer();
    max_timer_->set(max_period, [this] { join_those_at_max(); });
}

/// Of whom those for whom nothing has changed leave again, if somebody waits there.
void Acceptor::join_those_at_max() {
    if (state_ != State::Open) return;
    some_at_max_ = false;
    for (Entry& entry : entries_)
        if (std::exchange(entry.at_max, false)) entry.queue->join();
}

void Acceptor::count_drops() {
    for (Entry& entry : entries_) losses_.count_drops(entry.listener, entry.queue->fd());
}

bool Acceptor::somebody_waits() {
    std::vector<pollfd> queues;
    for (Entry& entry : entries_)
        if (!entry.is_handed_over) queues.push_back({.fd = entry.queue->fd(), .events = POLLIN, .revents = 0});
    return ::poll(queues.data(), queues.size(), 0) > 0;
}

}  // namespace preforkd

#include "daemon/worker/reception.hpp"

#include <netinet/tcp.h>
#include <poll.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <cstring>

#include "daemon/worker/accept_errors.hpp"
#include "daemon/worker/connection_core.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr int accepts_per_turn = 16;         // see SharedListener::yield_turn()
constexpr int failures_taken_for_pause = 8;  // an LSM's EPERM leaves the connection queued
constexpr auto rest_period = 500ms;

bool has_option(int fd, int level, int option) noexcept {
    int value = 0;
    socklen_t size = sizeof value;
    return ::getsockopt(fd, level, option, &value, &size) == 0 && value != 0;
}

void set_option(int fd, int level, int option) noexcept {
    const int on = 1;
    // Fails only when the client has gone already, which the handler will notice.
    (void)::setsockopt(fd, level, option, &on, sizeof on);
}

int family_of(int fd) {
    int family = 0;
    socklen_t size = sizeof family;
    check(::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size), "read the family of a listener");
    return family;
}

}  // namespace

Reception::Reception(Loop& loop, ReceptionSettings settings)
    : loop_{loop}, settings_{std::move(settings)}, rest_timer_{loop.context} {}

void Reception::add(Listener& listener, StreamHandler& handler) {
    const int fd = listener.fd.get();
    const int family = family_of(fd);
    const bool tcp = family != AF_UNIX;
    gates_.push_back(
        Gate{.socket = {loop_.context, {family, 0}, listener.fd.release()},
             .listener = listener,
             .handler = handler,
             .set_nodelay = tcp && listener.settings.nodelay && !has_option(fd, IPPROTO_TCP, TCP_NODELAY),
             .set_keepalive = tcp && listener.settings.keepalive && !has_option(fd, SOL_SOCKET, SO_KEEPALIVE),
             .linger = listener.settings.linger.value_or(2s)});
}

void Reception::open() {
    state_ = State::Open;
    join_all();
    for (Gate& gate : gates_) wait_at(gate);
    loop_.out_of_handler();
}

void Reception::wait_at(Gate& gate) {
    gate.socket.async_wait(SharedListener::wait_read, [this, &gate](boost::system::error_code error) {
        if (!error) on_readable(gate);  // otherwise the gate is being closed
    });
}

void Reception::on_readable(Gate& gate) {
    // An event may have been on its way when we left the queue.
    if (state_ == State::Open && accept_one(gate) == Attempt::Accepted && state_ == State::Open &&
        ++gate.accepts_in_turn == accepts_per_turn) {
        gate.accepts_in_turn = 0;
        gate.socket.yield_turn();
    }
    loop_.linger.glance();
    if (state_ != State::Closed) wait_at(gate);
}

void Reception::look() {
    for (Gate& gate : gates_)
        for (int left = accepts_per_turn; left > 0 && state_ == State::Open; --left)
            if (accept_one(gate) != Attempt::Accepted) break;
    // A sibling that has no room cannot help: pass it on.
    if (state_ == State::Full && somebody_waits()) settings_.ask_sibling();
}

Reception::Attempt Reception::accept_one(Gate& gate) {
    SocketAddress address;
    socklen_t address_bytes = SocketAddress::capacity();
    const int fd = ::accept4(gate.socket.native_handle(), address.data(), &address_bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
    address.resize(address_bytes);
    if (fd == -1) return on_accept_error(gate, errno);
    failures_in_row_ = 0;
    said_resting_ = false;
    start(gate, UniqueFd{fd}, address);
    return Attempt::Accepted;
}

Reception::Attempt Reception::on_accept_error(Gate& gate, int error) {
    AcceptVerdict verdict = classify_accept_error(error);
    if (verdict == AcceptVerdict::Again && ++failures_in_row_ >= failures_taken_for_pause)
        verdict = AcceptVerdict::Pause;
    switch (verdict) {
        case AcceptVerdict::Wait:
        case AcceptVerdict::Again: return Attempt::Nothing;
        case AcceptVerdict::Pause:
            if (!std::exchange(said_resting_, true))
                log(LogLevel::Warning, "cannot accept; trying again every 500 ms until it works",
                    {{"cause", std::strerror(error)}, {"listener", to_string(gate.listener.local)}});
            if (state_ == State::Open) rest();
            return Attempt::Stopped;
        case AcceptVerdict::Stop:
            gate.socket.leave();
            log(LogLevel::Debug, "listener is gone", {{"cause", std::strerror(error)}});
            return Attempt::Stopped;
    }
    return Attempt::Stopped;
}

void Reception::start(Gate& gate, UniqueFd accepted, const SocketAddress& address) {
    if (gate.set_nodelay) set_option(accepted.get(), IPPROTO_TCP, TCP_NODELAY);
    if (gate.set_keepalive) set_option(accepted.get(), SOL_SOCKET, SO_KEEPALIVE);
    count(loop_.record.accepted);
    count(loop_.record.active);
    loop_.in_handler();
    // Runs until it first has to wait; most short answers are over when this returns.
    starting_ = true;
    boost::asio::co_spawn(loop_.context, serve(gate, std::move(accepted), address), boost::asio::detached);
    starting_ = false;
    check_limit();
    if (settings_.retire_after != 0 && loop_.record.accepted.load(std::memory_order_relaxed) == settings_.retire_after)
        settings_.ask_retirement();
}

awaitable<void> Reception::serve(Gate& gate, UniqueFd accepted, SocketAddress address) {
    {
        ConnectionCore core{loop_, std::move(accepted), address};
        Connection client{core};
        try {
            if (settings_.log_connections && log_enabled(LogLevel::Info))
                log(LogLevel::Info, "got connection from " + address_of(core.peer()),
                    {{"listener", to_string(gate.listener.local)}});
            co_await gate.handler.serve(client);
        } catch (const std::exception& error) {
            log(LogLevel::Error, "handler failed; its connection is closed",
                {{"peer", address_of(core.peer())}, {"cause", error.what()}});
        } catch (...) {
            log(LogLevel::Error, "handler failed with something that is no std::exception; its connection is closed",
                {{"peer", address_of(core.peer())}});
        }
        loop_.linger.finish(core.release(), gate.linger);
    }
    ended();
}

void Reception::ended() {
    loop_.record.active.store(active() - 1, std::memory_order_relaxed);
    count(loop_.record.served);
    loop_.out_of_handler();
    if (state_ == State::Full) {
        state_ = State::Open;
        join_all();  // an ADD reports at once if somebody is queued
    }
    if (state_ == State::Emptying && !starting_) empty_queue();  // else the loop that started it goes on
}

void Reception::check_limit() {
    if (state_ != State::Open || active() < settings_.limit) return;
    state_ = State::Full;
    leave_all();
    // Whoever came between our last look and the leaving woke us alone.
    if (somebody_waits()) settings_.ask_sibling();
}

void Reception::rest() {
    state_ = State::Resting;
    leave_all();
    settings_.ask_sibling();
    rest_timer_.expires_after(rest_period);
    rest_timer_.async_wait([this](boost::system::error_code error) {
        if (error || state_ != State::Resting) return;
        state_ = State::Open;
        join_all();
        check_limit();
    });
}

void Reception::close(bool empty_queue_first) {
    if (state_ == State::Emptying || state_ == State::Closed) return;
    const bool had_room = state_ == State::Open;
    leave_all();
    rest_timer_.cancel();
    state_ = State::Emptying;
    for (Gate& gate : gates_) {
        // Sockets passed by systemd stay open there: its next service is the one to serve their queue.
        const bool closes_for_good = empty_queue_first && !gate.listener.inherited;
        // Bounded by what the kernel can have queued, because an abstract Unix address still takes new clients.  And
        // one accept for a wake-up that may be in our hands alone.
        gate.still_to_accept = closes_for_good ? gate.listener.settings.backlog.value_or(4096) + 1 : had_room ? 1 : 0;
    }
    empty_queue();
}

void Reception::empty_queue() {
    for (Gate& gate : gates_)
        for (; gate.still_to_accept > 0; --gate.still_to_accept) {
            if (active() >= settings_.limit) return;  // goes on when a connection ends
            const Attempt attempt = accept_one(gate);
            if (attempt == Attempt::Accepted) continue;
            if (attempt == Attempt::Stopped && active() > 0) return;  // out of descriptors: one comes free first
            break;
        }
    if (active() != 0) return;
    state_ = State::Closed;
    close_gates();
    settings_.finished();
}

void Reception::close_gates() {
    boost::system::error_code ignored;
    for (Gate& gate : gates_) gate.socket.close(ignored);
}

void Reception::leave_all() {
    for (Gate& gate : gates_) gate.socket.leave();
}

void Reception::join_all() {
    for (Gate& gate : gates_) gate.socket.join();
}

bool Reception::somebody_waits() {
    std::vector<pollfd> queues;
    for (Gate& gate : gates_) queues.push_back({.fd = gate.socket.native_handle(), .events = POLLIN, .revents = 0});
    return ::poll(queues.data(), queues.size(), 0) > 0;
}

}  // namespace preforkd

#include "daemon/worker/forward/relay.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <type_traits>
#include <utility>
#include <vector>

#include "daemon/worker/stream/connection_tls.hpp"

namespace preforkd {

namespace asio = boost::asio;

namespace {

using Arrived = ConnectionCore::Arrived;
using For = ConnectionCore::For;
using Side = ConnectionCore::Side;

/// The client as an end of a relay.
class ClientEnd {
public:
    explicit ClientEnd(ConnectionCore& core) noexcept : core_{core} {}

    [[nodiscard]] int fd() noexcept { return core_.fd(); }
    [[nodiscard]] bool is_plain() const noexcept { return !core_.tls; }
    [[nodiscard]] Arrived receive_now(std::span<std::byte> space) {
        if (const auto error = core_.why_cut()) return {.kind = Arrived::Kind::Failed, .error = error.value()};
        return core_.may_have_something() ? core_.receive_now(space) : Arrived{};
    }
    [[nodiscard]] ConnectionCore::Sent send_now(std::span<const std::byte> bytes) {
        const iovec one{.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
        return core_.send_now({&one, 1}, 0);
    }
    [[nodiscard]] For wanted_to_read() const noexcept { return core_.wanted_to_read(); }
    [[nodiscard]] awaitable<std::error_code> wait(Side side, For what) { return core_.wait(side, what, never_); }
    [[nodiscard]] awaitable<void> end_output() {
        Connection client{core_};
        if (core_.tls)
            (void)co_await end_tls(core_);
        else
            (void)client.half_close();
    }
    void received(std::size_t bytes) noexcept { core_.received(bytes); }
    void sent(std::size_t bytes) noexcept { core_.sent(bytes); }

private:
    ConnectionCore& core_;
    Deadline never_{};
};

/// How a direction has ended, or part of it.
enum class Flow {
    Dry,      ///< nothing more is there just now
    Ended,    ///< its source's output
    Stopped,  ///< its sink takes no more
    Broken,   ///< its source, or whoever waits was told to go
};

/// Bytes that go from socket to socket without being copied.
class Pipe {
public:
    /// Whether there is one: there may be no descriptors left, or so little of what its user may have in pipes
    /// (/proc/sys/fs/pipe-user-pages-soft) that copying costs less.
    [[nodiscard]] bool open(std::vector<WidePipe>& wide) noexcept {
        if (std::exchange(was_asked_for_, true)) return static_cast<bool>(ends_.out);
        if (!wide.empty()) {
            ends_ = std::move(wide.back());
            wide.pop_back();
            is_wide_ = true;
            return true;
        }
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) == -1) return false;
        WidePipe pipe{.out = UniqueFd{ends[0]}, .in = UniqueFd{ends[1]}};
        if (::fcntl(pipe.in.get(), F_GETPIPE_SZ) < least_bytes) return false;
        ends_ = std::move(pipe);
        return true;
    }
    /// To those that nobody has.  What a stream that broke has left in it is nobody's.
    void give_back(std::vector<WidePipe>& wide) {
        if (!is_wide_) return;
        std::array<std::byte, 4096> rest;
        while (::read(ends_.out.get(), rest.data(), rest.size()) > 0) {}
        wide.push_back(std::move(ends_));
    }
    [[nodiscard]] ssize_t fill(int from) const noexcept {
        constexpr std::size_t most = std::size_t{1} << 20;  // the pipe holds less
        return ::splice(from, nullptr, ends_.in.get(), nullptr, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    }
    [[nodiscard]] ssize_t empty(int into, std::size_t bytes) const noexcept {
        return ::splice(ends_.out.get(), nullptr, into, nullptr, bytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    }

private:
    static constexpr int least_bytes = 64 * 1024;  // what pipe(7) gives to whoever may have it

    WidePipe ends_{};
    bool is_wide_ = false;
    bool was_asked_for_ = false;
};

/// A stream in one direction.
template <class From, class To>
class Direction {
public:
    Direction(Relay& relay, From& from, To& to) noexcept : relay_{relay}, from_{from}, to_{to} {}
    ~Direction() { pipe_.give_back(relay_.loop().wide_pipes); }
    Direction(const Direction&) = delete;
    Direction& operator=(const Direction&) = delete;

    awaitable<void> run() {
        for (;;) {
            Flow flow = Flow::Dry;
            if (is_bulk())
                flow = co_await splice();
            else
                flow = co_await copy();
            if (flow == Flow::Ended) co_await to_.end_output();
            // A target that takes no more may still answer; a client that does not has gone.
            if (flow == Flow::Broken || (flow == Flow::Stopped && std::is_same_v<To, ClientEnd>)) relay_.abort();
            if (flow != Flow::Dry || relay_.is_over()) co_return;
            const std::error_code error = co_await from_.wait(Side::Reading, from_.wanted_to_read());
            if (error) relay_.abort();
            if (relay_.is_over()) co_return;
        }
    }

private:
    static constexpr int many_full_reads = 4;  // 64 KiB in a row: what is moved then is worth a pipe
    static constexpr int pieces_a_turn = 16;   // then the worker's other clients have theirs

    [[nodiscard]] bool is_bulk() noexcept {
        return full_reads_ >= many_full_reads && from_.is_plain() && to_.is_plain() &&
               pipe_.open(relay_.loop().wide_pipes);
    }

    [[nodiscard]] awaitable<Flow> copy() {
        Buffer buffer = relay_.loop().buffers.take();
        Flow flow = Flow::Dry;
        for (int piece = 1;; ++piece) {
            if (piece % pieces_a_turn == 0) co_await asio::post(asio::use_awaitable);
            const Arrived got = from_.receive_now({buffer.get(), BufferPool::buffer_bytes});
            if (got.kind == Arrived::Kind::End) flow = Flow::Ended;
            if (got.kind == Arrived::Kind::Failed) flow = Flow::Broken;
            if (got.kind != Arrived::Kind::Bytes) break;
            relay_.moved();
            full_reads_ = got.bytes == BufferPool::buffer_bytes ? full_reads_ + 1 : 0;
            flow = co_await send(std::span<const std::byte>{buffer.get(), got.bytes});
            if (flow != Flow::Dry || is_bulk()) break;
        }
        relay_.loop().buffers.give_back(std::move(buffer));
        // There may be more, which is to be spliced.
        if (flow == Flow::Dry && is_bulk()) flow = co_await splice();
        co_return flow;
    }

    /// Dry: all is sent.
    [[nodiscard]] awaitable<Flow> send(std::span<const std::byte> bytes) {
        while (!bytes.empty()) {
            const ConnectionCore::Sent sent = to_.send_now(bytes);
            if (sent.error != 0) co_return Flow::Stopped;
            bytes = bytes.subspan(sent.bytes);
            if (!sent.waits_for) continue;
            const std::error_code error = co_await to_.wait(Side::Writing, *sent.waits_for);
            if (error || relay_.is_over()) co_return Flow::Broken;
            relay_.moved();
        }
        co_return Flow::Dry;
    }

    [[nodiscard]] awaitable<Flow> splice() {
        std::size_t moved = 0;
        for (int piece = 1;; ++piece) {
            if (piece % pieces_a_turn == 0) co_await asio::post(asio::use_awaitable);
            ssize_t got = 0;
            do got = pipe_.fill(from_.fd());
            while (got == -1 && errno == EINTR);
            if (got == 0) co_return Flow::Ended;
            if (got == -1 && errno != EAGAIN) co_return Flow::Broken;
            if (got == -1) {
                if (moved < BufferPool::buffer_bytes) full_reads_ = 0;  // no longer worth it
                co_return Flow::Dry;
            }
            const auto bytes = static_cast<std::size_t>(got);
            from_.received(bytes);
            relay_.moved();
            moved += bytes;
            const Flow flow = co_await empty_pipe(bytes);
            if (flow != Flow::Dry) co_return flow;
        }
    }

    [[nodiscard]] awaitable<Flow> empty_pipe(std::size_t bytes) {
        while (bytes != 0) {
            const ssize_t sent = pipe_.empty(to_.fd(), bytes);
            if (sent > 0) {
                to_.sent(static_cast<std::size_t>(sent));
                bytes -= static_cast<std::size_t>(sent);
                continue;
            }
            if (sent == -1 && errno == EINTR) continue;
            if (sent == 0 || errno != EAGAIN) co_return Flow::Stopped;
            const std::error_code error = co_await to_.wait(Side::Writing, For::Output);
            if (error || relay_.is_over()) co_return Flow::Broken;
            relay_.moved();
        }
        co_return Flow::Dry;
    }

    Relay& relay_;
    From& from_;
    To& to_;
    Pipe pipe_{};
    int full_reads_ = 0;
};

}  // namespace

awaitable<void> Relay::run() {
    client_.operation_timeout = std::chrono::milliseconds::zero();  // it is idle only when both directions are
    loop().before_wait();
    if (loop().waits.canceled()) co_return give_up();
    wait_for_silence();
    ClientEnd client{client_};
    Direction<ClientEnd, TargetEnd> to_target{*this, client, target_};
    Direction<TargetEnd, ClientEnd> to_client{*this, target_, client};
    asio::steady_timer other{loop().reactor.context, asio::steady_timer::time_point::max()};
    bool other_is_over = false;
    std::exception_ptr failure;
    asio::co_spawn(loop().reactor.context, to_target.run(), [&](const std::exception_ptr& thrown) {
        other_is_over = true;
        if (thrown) failure = thrown;
        if (thrown) abort();
        other.cancel();
    });
    try {
        co_await to_client.run();
    } catch (const std::exception&) {
        failure = std::current_exception();
        abort();
    }
    while (!other_is_over) co_await other.async_wait(asio::as_tuple(asio::use_awaitable));
    loop().waits.remove(*this);
    if (failure) std::rethrow_exception(failure);
}

void Relay::abort() noexcept {
    if (std::exchange(is_over_, true)) return;
    client_.account.failed(ConnectionOutcome::Error);  // unless something else was noted before
    client_.half_written = true;                       // what was cut off shall not look whole
    for (const Side side : {Side::Reading, Side::Writing}) client_.withdraw(side);
    target_.cancel();
}

/// A client that is cut off when its time is up (--request-timeout) may have nobody left who would notice.
void Relay::wait_for_silence() {
    using namespace std::chrono_literals;
    const auto idle = loop().idle_timeout;
    const auto whole = loop().request_timeout;
    auto patience = idle == 0ms || (whole != 0ms && whole < idle) ? whole : idle;
    if (idle != 0ms) {
        const auto silent = std::chrono::floor<std::chrono::milliseconds>(recent_time() - last_moved_);
        patience = std::clamp(idle - silent, 1ms, patience);
    }
    loop().waits.add(*this, patience);
}

void Relay::give_up() {
    using namespace std::chrono_literals;
    const bool is_stop = loop().waits.canceled();
    const auto idle = loop().idle_timeout;
    const bool is_idle = idle != 0ms && recent_time() - last_moved_ >= idle;
    if (!is_stop && !is_idle && !client_.why_cut()) return wait_for_silence();
    client_.account.failed(is_stop ? ConnectionOutcome::Cut : ConnectionOutcome::IdleTimeout);
    abort();
}

}  // namespace preforkd

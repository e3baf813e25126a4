#include "daemon/worker/loop/socket_watch.hpp"

#include <sys/epoll.h>

#include <boost/asio/detail/epoll_reactor.hpp>
#include <boost/asio/detail/op_queue.hpp>
#include <boost/asio/detail/scheduler.hpp>
#include <boost/asio/post.hpp>

#include <utility>

#include "common/base/sys_error.hpp"

namespace preforkd {

namespace asio = boost::asio;

namespace detail {

// [temp.spec]: access checks do not apply to the arguments of an explicit
// instantiation, so this is legal C++, and a renamed member fails to compile.
template <auto Member>
struct ReactorMember {
    friend int epoll_fd_of(asio::detail::epoll_reactor& reactor) { return reactor.*Member; }
};
int epoll_fd_of(asio::detail::epoll_reactor& reactor);
template struct ReactorMember<&asio::detail::epoll_reactor::epoll_fd_>;

}  // namespace detail

namespace {

/// Of whom nobody waits: what the kernel reports unasked, an error and a hang-up, it then reports once.
constexpr std::uint32_t nothing = EPOLLET;

/// On its way to the end of its wait; whoever destroys it ends it in the other way.
class Ending {
public:
    explicit Ending(SocketWaiter& waiter) noexcept : waiter_{&waiter} {}
    Ending(Ending&& other) noexcept : waiter_{std::exchange(other.waiter_, nullptr)} {}
    ~Ending() {
        if (waiter_ != nullptr) waiter_->end(*waiter_, false);
    }
    Ending& operator=(Ending&&) = delete;

    void operator()() {
        SocketWaiter& waiter = *std::exchange(waiter_, nullptr);
        waiter.end(waiter, true);
    }

private:
    SocketWaiter* waiter_;
};

}  // namespace

SocketWatch::SocketWatch(SocketWatches& home) noexcept
    : scheduler_operation{[](void* loop, scheduler_operation* self, const boost::system::error_code&,
                             std::size_t events) {
          if (loop != nullptr) static_cast<SocketWatch*>(self)->ready(static_cast<std::uint32_t>(events));
      }},
      home_{home},
      waiting{} {}

std::uint32_t SocketWatch::events_of(SocketEvent what) noexcept {
    return what == SocketEvent::Input ? EPOLLIN : EPOLLOUT;
}

void SocketWatch::ask_for(std::uint32_t events) {
    if (events == registered_) return;
    epoll_event wanted{};
    wanted.events = events;
    wanted.data.ptr = static_cast<scheduler_operation*>(this);
    const int how = registered_ == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    check(::epoll_ctl(home_.epoll_, how, fd_, &wanted), "wait for a socket");
    registered_ = events;
}

void SocketWatch::wait(Side side, SocketEvent what, SocketWaiter& waiter) {
    const auto index = static_cast<std::size_t>(side);
    if ((registered_ & events_of(what)) == 0) ask_for((registered_ & ~nothing) | events_of(what));
    waiting[index] = &waiter;
    wanted_[index] = what;
}

/// Ends one who waits: who else is ready is so at the next look, too, and `this` may be another's by then.  They take
/// turns, since whoever is ended may wait again at once.
void SocketWatch::ready(std::uint32_t events) {
    // Asio counts off the wait that an operation has ended: none of these was counted.
    home_.scheduler_.compensating_work_started();
    if (fd_ == -1) return home_.keep(*this);  // it was given back when this event was on its way
    std::uint32_t waited_for = 0;
    for (std::size_t i = 0; i < sides; ++i) {
        last_ = static_cast<std::uint8_t>((last_ + 1) % sides);
        if (waiting[last_] == nullptr) continue;
        const std::uint32_t wanted = events_of(wanted_[last_]);
        waited_for |= wanted;
        if ((events & (wanted | EPOLLERR | EPOLLHUP)) == 0) continue;
        SocketWaiter& waiter = *take(last_);
        return waiter.end(waiter, true);
    }
    if (registered_ != 0) ask_for(waited_for == 0 ? nothing : waited_for);
}

void SocketWatch::end(Side side) {
    if (SocketWaiter* const waiter = take(static_cast<std::size_t>(side)))
        SocketWatches::end_soon(home_.loop_, *waiter);
}

void SocketWatch::join_queue() { ask_for(EPOLLIN | EPOLLEXCLUSIVE); }

void SocketWatch::leave() noexcept {
    if (std::exchange(registered_, 0U) != 0) ::epoll_ctl(home_.epoll_, EPOLL_CTL_DEL, fd_, nullptr);
}

SocketWatches::SocketWatches(asio::io_context& loop)
    : asio::execution_context::service{loop},
      loop_{loop},
      scheduler_{asio::use_service<asio::detail::scheduler>(loop)},
      epoll_{detail::epoll_fd_of(asio::use_service<asio::detail::epoll_reactor>(loop))} {
    scheduler_.init_task();  // from now on the loop sleeps in the epoll set
}

SocketWatches::Handle SocketWatches::watch(int fd) {
    SocketWatch* const watch =
        spare_ != nullptr ? std::exchange(spare_, spare_->next_spare) : &all_.emplace_back(*this);
    watch->fd_ = fd;
    watch->waiting = {};
    return Handle{watch};
}

/// An event that would be taken for the next socket's.  One that is queued has the loop's own operation behind it.
bool SocketWatch::is_on_its_way() noexcept {
    return asio::detail::op_queue_access::next<scheduler_operation>(this) != nullptr;
}

/// Whoever still waits shall not go on, which would be without the socket.
void SocketWatch::destroy_waiters() {
    for (std::size_t side = 0; side < sides; ++side)
        if (SocketWaiter* const waiter = take(side)) waiter->end(*waiter, false);
}

void SocketWatches::give_back(SocketWatch& watch) noexcept {
    watch.leave();
    watch.destroy_waiters();
    watch.fd_ = -1;
    if (!watch.is_on_its_way()) keep(watch);
}

void SocketWatches::keep(SocketWatch& watch) noexcept { watch.next_spare = std::exchange(spare_, &watch); }

void SocketWatches::end_soon(asio::io_context& loop, SocketWaiter& waiter) { asio::post(loop, Ending{waiter}); }

void SocketWatches::shutdown() {
    for (SocketWatch& watch : all_)
        if (watch.fd_ != -1) watch.destroy_waiters();
}

}  // namespace preforkd

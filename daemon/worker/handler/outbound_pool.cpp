// Connections that handlers make and keep: Worker::pool().
#include "preforkd/outbound_pool.hpp"

#include <sys/socket.h>

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include <cerrno>
#include <exception>
#include <list>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"
#include "daemon/worker/handler/outbound_wait.hpp"
#include "daemon/worker/handler/worker_core.hpp"

namespace preforkd {

namespace asio = boost::asio;

namespace {

/// Whether its next holder would find nothing there that belongs to the one before, and no end.
bool is_quiet(int socket) noexcept {
    char byte = 0;
    return ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == -1 && errno == EAGAIN;
}

OutboundPool::Socket socket_of(const asio::any_io_executor& home, UniqueFd kept) {
    int family = 0;
    socklen_t size = sizeof family;
    check(::getsockopt(kept.get(), SOL_SOCKET, SO_DOMAIN, &family, &size), "look at a connection that was kept");
    OutboundPool::Socket socket{home};
    socket.assign({family, 0}, kept.get());
    (void)kept.release();
    return socket;
}

}  // namespace

/// What is kept are descriptors, since each thread of model thread has a loop of its own.
class OutboundPool::State {
public:
    State(WorkerCore& core, std::string endpoint, std::size_t size)
        : core_{core}, endpoint_{std::move(endpoint)}, size_{size} {}

    static awaitable<Lease> lease(std::shared_ptr<State> pool, std::chrono::milliseconds patience) {
        const auto home = co_await asio::this_coro::executor;
        const auto waiting = std::make_shared<Waiting>(home, patience);
        Turn turn{*pool, waiting};
        if (!turn.has_come()) {
            const StoppedWithWorker stopped_with_worker{pool->core_, waiting};
            const std::error_code error = co_await waiting->end_of_step();
            if (error) throw std::system_error{error, pool->what_is_waited_for()};
        }
        turn.take();
        Lease lease{pool};
        if (UniqueFd kept = pool->take_kept())
            lease.socket_.emplace(socket_of(home, std::move(kept)));
        else
            lease.socket_.emplace(co_await connect_outbound(pool->core_, pool->endpoint_, waiting->left()));
        co_return lease;
    }

    void take_back(Socket& socket) {
        if (std::uncaught_exceptions() != 0 || !is_quiet(socket.native_handle())) return;
        UniqueFd fd{socket.release()};
        const std::scoped_lock lock{mutex_};
        kept_.push_back(std::move(fd));
    }

    /// The first in the queue has the place then.
    void leave() {
        const std::scoped_lock lock{mutex_};
        leave_locked();
    }

private:
    struct Waiting : OutboundWait {
        using OutboundWait::OutboundWait;
        bool has_place = false;  ///< the pool's
    };

    /// A place among those who have a connection, or in the queue for one, of who may be destroyed while it waits.
    class Turn {
    public:
        Turn(State& pool, const std::shared_ptr<Waiting>& waiting) : pool_{pool}, waiting_{waiting} {
            const std::scoped_lock lock{pool_.mutex_};
            waiting_->has_place = pool_.lent_ < pool_.size_;
            if (waiting_->has_place)
                ++pool_.lent_;
            else
                pool_.queue_.push_back(waiting_);
        }
        ~Turn() {
            const std::scoped_lock lock{pool_.mutex_};
            if (taken_) return;
            if (waiting_->has_place)
                pool_.leave_locked();
            else
                pool_.queue_.remove(waiting_);
        }
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;

        [[nodiscard]] bool has_come() const {
            const std::scoped_lock lock{pool_.mutex_};
            return waiting_->has_place;
        }

        /// From now on it is for the caller to leave().
        void take() noexcept { taken_ = true; }

    private:
        State& pool_;
        std::shared_ptr<Waiting> waiting_;
        bool taken_ = false;
    };

    void leave_locked() {
        if (queue_.empty()) {
            --lent_;
            return;
        }
        const std::shared_ptr<Waiting> first = queue_.front();
        queue_.pop_front();
        first->has_place = true;
        // Its loop lives as long as its Turn, whose end would have to have the lock.
        asio::post(first->wakeup.get_executor(), [first] { first->step_over({}); });
    }

    [[nodiscard]] UniqueFd take_kept() {
        const std::scoped_lock lock{mutex_};
        while (!kept_.empty()) {
            UniqueFd last = std::move(kept_.back());
            kept_.pop_back();
            if (is_quiet(last.get())) return last;
        }
        return {};
    }

    [[nodiscard]] std::string what_is_waited_for() const {
        return "wait for one of " + std::to_string(size_) + " connections to " + endpoint_;
    }

    WorkerCore& core_;
    const std::string endpoint_;
    const std::size_t size_;

    std::mutex mutex_{};    ///< for what follows
    std::size_t lent_ = 0;  ///< at most size_
    std::vector<UniqueFd> kept_{};
    std::list<std::shared_ptr<Waiting>> queue_{};
};

OutboundPool::Lease& OutboundPool::Lease::operator=(Lease&& other) noexcept {
    const Lease before{std::move(*this)};
    pool_ = std::move(other.pool_);
    socket_ = std::move(other.socket_);
    return *this;
}

OutboundPool::Lease::~Lease() {
    if (!pool_) return;
    if (socket_) pool_->take_back(*socket_);
    socket_.reset();
    pool_->leave();
}

void OutboundPool::Lease::drop() noexcept {
    socket_.reset();
    if (const auto pool = std::exchange(pool_, nullptr)) pool->leave();
}

awaitable<OutboundPool::Lease> OutboundPool::lease(std::chrono::milliseconds patience) {
    if (!state_)
        throw std::logic_error{"OutboundPool::lease(): it is a pool of nothing until Worker::pool() is assigned to it"};
    return State::lease(state_, patience);
}

OutboundPool Worker::pool(std::string endpoint, std::size_t size) {
    check_outbound(endpoint);
    if (size == 0)
        throw std::invalid_argument{
            "Worker::pool(): a pool of 0 connections never has one; give it a size of 1 or more"};
    if (core_.facts().model == Model::Fork)
        throw std::logic_error{
            "Worker::pool() would be one for each client in --model fork: connect() there, or name the "
            "other models in `models`"};
    return OutboundPool{std::make_shared<OutboundPool::State>(core_, std::move(endpoint), size)};
}

}  // namespace preforkd

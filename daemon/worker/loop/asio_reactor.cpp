#include "daemon/worker/loop/asio_reactor.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "daemon/worker/loop/shared_listener.hpp"

namespace preforkd {

namespace asio = boost::asio;

namespace {

class AsioQueue final : public SharedQueue {
public:
    AsioQueue(asio::io_context& loop, UniqueFd socket, std::function<void()> readable)
        // Only waits are made on it, so that it is a stream socket matters to nobody.
        : socket_{loop, {AF_UNSPEC, 0}, socket.release()}, readable_{std::move(readable)}, wait_{new Wait{*this}} {
        socket_.start_wait(*wait_);
    }
    ~AsioQueue() override {
        if (wait_ != nullptr) wait_->queue = nullptr;
    }
    AsioQueue(const AsioQueue&) = delete;
    AsioQueue& operator=(const AsioQueue&) = delete;

    [[nodiscard]] int fd() const noexcept override { return const_cast<SharedListener&>(socket_).native_handle(); }
    void join() override { socket_.join(); }
    void leave() override { socket_.leave(); }

private:
    /// The one wait, started anew each time it has ended.  Asio's from its start to its end, which may be after the
    /// queue's: so it deletes itself.
    struct Wait final : asio::detail::reactor_op {
        explicit Wait(AsioQueue& owner) : reactor_op{{}, &Wait::perform, &Wait::complete}, queue{&owner} {}

        static status perform(reactor_op* self) {
            // Asked before the first event, too, since Asio cannot know that nobody is queued.
            return std::exchange(static_cast<Wait*>(self)->asked, true) ? done_and_exhausted : not_done;
        }

        static void complete(void* loop, asio::detail::operation* base, const boost::system::error_code&, std::size_t) {
            auto* self = static_cast<Wait*>(base);
            if (loop == nullptr || self->queue == nullptr) {  // the loop ends, or the queue has
                if (self->queue != nullptr) self->queue->wait_ = nullptr;
                delete self;
                return;
            }
            self->queue->readable_();
            self->queue->socket_.start_wait(*self);
        }

        AsioQueue* queue;
        bool asked = false;
    };

    SharedListener socket_;
    std::function<void()> readable_;
    Wait* wait_;
};

class AsioTimer final : public Timer {
public:
    explicit AsioTimer(asio::io_context& loop) : timer_{loop} {}
    void set(std::chrono::milliseconds from_now, std::function<void()> then) override {
        timer_.expires_after(from_now);
        // Asio cannot take back a wait that has expired and is queued: the turn tells it from the one that counts.
        timer_.async_wait([turn = std::weak_ptr{turn_ = std::make_shared<Turn>()},
                           then = std::move(then)](boost::system::error_code error) {
            if (!error && !turn.expired()) then();  // otherwise it was set anew, canceled or destroyed
        });
    }
    void cancel() override {
        turn_.reset();
        timer_.cancel();
    }

private:
    struct Turn {};

    asio::steady_timer timer_;
    std::shared_ptr<Turn> turn_{};
};

}  // namespace

class AsioReactor::Watch {
public:
    Watch(asio::io_context& loop, int fd, std::function<void()> readable)
        : descriptor_{loop, fd}, readable_{std::make_shared<std::function<void()>>(std::move(readable))} {
        wait();
    }
    ~Watch() { (void)descriptor_.release(); }  // borrowed
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

private:
    void wait() {
        descriptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                               [this, keep = std::weak_ptr{readable_}](boost::system::error_code error) {
                                   const auto readable = keep.lock();
                                   if (error || !readable) return;
                                   (*readable)();
                                   if (readable.use_count() > 1) wait();  // unless it was forgotten meanwhile
                               });
    }

    asio::posix::stream_descriptor descriptor_;
    std::shared_ptr<std::function<void()>> readable_;
};

AsioReactor::AsioReactor() = default;
AsioReactor::~AsioReactor() = default;

std::unique_ptr<SharedQueue> AsioReactor::share(UniqueFd socket, std::function<void()> readable) {
    return std::make_unique<AsioQueue>(context, std::move(socket), std::move(readable));
}

void AsioReactor::watch(int fd, std::function<void()> readable) {
    watches_[fd] = std::make_unique<Watch>(context, fd, std::move(readable));
}

void AsioReactor::forget(int fd) { watches_.erase(fd); }

std::unique_ptr<Timer> AsioReactor::make_timer() { return std::make_unique<AsioTimer>(context); }

int AsioReactor::epoll_fd() { return reactor_fd(context); }

}  // namespace preforkd

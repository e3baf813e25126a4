#include "daemon/worker/loop/asio_reactor.hpp"

#include <boost/asio/steady_timer.hpp>

namespace preforkd {

namespace asio = boost::asio;

namespace {

class AsioQueue final : public SharedQueue, SocketWaiter {
public:
    AsioQueue(SocketWatches& watches, UniqueFd socket, std::function<void()> readable)
        : SocketWaiter{[](SocketWaiter& self, bool goes_on) {
              if (goes_on) static_cast<AsioQueue&>(self).look();
          }},
          socket_{std::move(socket)},
          watch_{watches.watch(socket_.get())},
          readable_{std::move(readable)} {}

    [[nodiscard]] int fd() const noexcept override { return socket_.get(); }
    void join() override {
        watch_->join_queue();
        wait();
    }
    void leave() override {
        watch_->forget(SocketWatch::Side::Reading);
        watch_->leave();
    }

private:
    void look() {
        readable_();
        if (watch_->is_registered()) wait();
    }
    void wait() {
        if (!watch_->has(SocketWatch::Side::Reading))
            watch_->wait(SocketWatch::Side::Reading, SocketEvent::Input, *this);
    }

    UniqueFd socket_;
    SocketWatches::Handle watch_;
    std::function<void()> readable_;
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

class AsioReactor::Watch : SocketWaiter {
public:
    Watch(SocketWatches& watches, int fd, std::function<void()> readable)
        : SocketWaiter{[](SocketWaiter& self, bool goes_on) {
              if (goes_on) static_cast<Watch&>(self).look();
          }},
          watch_{watches.watch(fd)},
          readable_{std::make_shared<std::function<void()>>(std::move(readable))} {
        wait();
    }

private:
    void look() {
        const auto readable = readable_;
        (*readable)();
        if (readable.use_count() > 1) wait();  // unless it was forgotten meanwhile
    }
    void wait() { watch_->wait(SocketWatch::Side::Reading, SocketEvent::Input, *this); }

    SocketWatches::Handle watch_;
    std::shared_ptr<std::function<void()>> readable_;
};

AsioReactor::AsioReactor() = default;
AsioReactor::~AsioReactor() = default;

std::unique_ptr<SharedQueue> AsioReactor::share(UniqueFd socket, std::function<void()> readable) {
    return std::make_unique<AsioQueue>(sockets(), std::move(socket), std::move(readable));
}

void AsioReactor::watch(int fd, std::function<void()> readable) {
    watches_[fd] = std::make_unique<Watch>(sockets(), fd, std::move(readable));
}

void AsioReactor::forget(int fd) { watches_.erase(fd); }

std::unique_ptr<Timer> AsioReactor::make_timer() { return std::make_unique<AsioTimer>(context); }

int AsioReactor::epoll_fd() { return sockets().epoll_fd(); }

}  // namespace preforkd

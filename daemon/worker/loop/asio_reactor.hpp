#pragma once
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <map>

#include "daemon/worker/loop/reactor.hpp"
#include "daemon/worker/loop/socket_watch.hpp"

namespace preforkd {

/// An io_context of which what waits can be destroyed while all that it uses is still there.
class EndableContext : public boost::asio::io_context {
public:
    /// `threads`: that run it; others may still post.
    explicit EndableContext(int threads = 1) : io_context{threads} {}

    /// Destroys what has not ended: coroutines, with their local variables.  What uses the context may be destroyed
    /// after that, but nothing runs in it any more.
    void end() { shutdown(); }
};

/// Boost.Asio's loop.  Made after the fork, never before.
class AsioReactor final : public Reactor {
public:
    AsioReactor();
    ~AsioReactor() override;

    [[nodiscard]] std::unique_ptr<SharedQueue> share(UniqueFd socket, std::function<void()> readable) override;
    void watch(int fd, std::function<void()> readable) override;
    void forget(int fd) override;
    [[nodiscard]] std::unique_ptr<Timer> make_timer() override;
    [[nodiscard]] int epoll_fd() override;
    void run() override { context.run(); }
    void stop() override { context.stop(); }

    /// Made when first asked for, with the epoll set.
    [[nodiscard]] SocketWatches& sockets() {
        if (sockets_ == nullptr) sockets_ = &boost::asio::use_service<SocketWatches>(context);
        return *sockets_;
    }

    EndableContext context{};

private:
    class Watch;

    SocketWatches* sockets_ = nullptr;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> until_stop_{context.get_executor()};
    std::map<int, std::unique_ptr<Watch>> watches_;
};

}  // namespace preforkd

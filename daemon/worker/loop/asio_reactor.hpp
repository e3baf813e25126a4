#pragma once
#include <boost/asio/io_context.hpp>

#include <map>

#include "daemon/worker/loop/reactor.hpp"

namespace preforkd {

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

    boost::asio::io_context context{1};  ///< one thread; other threads may still post

private:
    class Watch;
    std::map<int, std::unique_ptr<Watch>> watches_;
};

}  // namespace preforkd

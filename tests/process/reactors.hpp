#pragma once
// Both loops of the workers behind one door, so that only reactor_test.cpp has to compile Boost.Asio.
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"
#include "daemon/worker/loop/reactor.hpp"

namespace preforkd::testing {

enum class ReactorKind { Asio, Epoll };

/// Defined in reactor_test.cpp.
std::unique_ptr<Reactor> make_reactor(ReactorKind kind);

inline std::string name_of_kind(const ::testing::TestParamInfo<ReactorKind>& info) {
    return info.param == ReactorKind::Asio ? "asio" : "epoll";
}
inline const auto both_reactors = ::testing::Values(ReactorKind::Asio, ReactorKind::Epoll);

/// One thing to wait for, and what to do then.
struct Act {
    std::function<bool()> when{};
    std::function<void()> then{};
};

/// Runs `reactor` through `acts`, in their order; false if one does not come about.  A reactor runs once.
inline bool play(Reactor& reactor, const std::vector<Act>& acts) {
    using namespace std::chrono_literals;
    const auto tick = reactor.make_timer();
    const auto limit = Clock::now() + 30s;
    std::size_t next = 0;
    const std::function<void()> look = [&] {
        while (next < acts.size() && acts[next].when()) {
            if (acts[next].then) acts[next].then();
            ++next;
        }
        if (next == acts.size() || Clock::now() > limit) return reactor.stop();
        tick->set(1ms, look);
    };
    tick->set(0ms, look);
    reactor.run();
    return next == acts.size();
}

/// Whether `fd` is registered in the epoll set.  Source: proc(5), /proc/pid/fdinfo.
inline bool is_registered(int epoll_fd, int fd) {
    std::ifstream info{"/proc/self/fdinfo/" + std::to_string(epoll_fd)};
    for (std::string line; std::getline(info, line);) {
        std::istringstream words{line};
        std::string key;
        int registered = -1;
        if (words >> key >> registered && key == "tfd:" && registered == fd) return true;
    }
    return false;
}

}  // namespace preforkd::testing

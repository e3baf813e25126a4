#pragma once
#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <span>

#include "common/base/clock.hpp"
#include "common/base/unique_fd.hpp"

namespace preforkd {

/// What a loop sleeps on: an epoll set of descriptors, each with a key, and a deadline.  Owns none of them.
class EpollSet {
public:
    EpollSet();

    /// Wakes while `fd` is readable.  Throws std::system_error.
    void watch(int fd, std::uint64_t key);

    // `events` as in epoll_ctl(2).  False: errno says why.
    bool add(int fd, std::uint64_t key, std::uint32_t events) noexcept {
        return control(EPOLL_CTL_ADD, fd, key, events);
    }
    bool change(int fd, std::uint64_t key, std::uint32_t events) noexcept {
        return control(EPOLL_CTL_MOD, fd, key, events);
    }
    /// Before the descriptor is closed: a forked child may hold a copy of it.
    bool remove(int fd) noexcept { return control(EPOLL_CTL_DEL, fd, 0, 0); }

    /// The keys of all descriptors with an event, as soon as there are any; none once `deadline` has passed, or a
    /// signal was handled.  Valid until the next call.
    [[nodiscard]] std::span<const std::uint64_t> wait_until(Deadline deadline);

    /// Readable while one of its descriptors has an event; borrowed.
    [[nodiscard]] int fd() const noexcept { return epoll_.get(); }

private:
    bool control(int operation, int fd, std::uint64_t key, std::uint32_t events) noexcept;

    UniqueFd epoll_;
    std::array<std::uint64_t, 64> keys_{};
};

}  // namespace preforkd

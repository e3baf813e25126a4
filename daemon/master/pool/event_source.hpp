#pragma once
#include <cstdint>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/unique_fd.hpp"

namespace preforkd {

/// What the master sleeps on: an epoll set of descriptors, each with a key, and a deadline.  Owns none of them.
class EventSource {
public:
    EventSource();

    void watch(int fd, std::uint64_t key);
    void forget(int fd) noexcept;  ///< before the descriptor is closed: a forked child may hold a copy of it

    /// The keys of all readable descriptors, as soon as there are any; none once `deadline` has passed.
    [[nodiscard]] std::vector<std::uint64_t> wait_until(Deadline deadline);

private:
    UniqueFd epoll_;
};

}  // namespace preforkd

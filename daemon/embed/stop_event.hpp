#pragma once
#include <chrono>

#include "common/base/unique_fd.hpp"

namespace preforkd {

/// One descriptor for a loop to wait on: rung by another thread, or by itself after a time.
class StopEvent {
public:
    StopEvent();

    void ring() noexcept;

    /// Rings after `patience`; zero: never.
    void ring_after(std::chrono::milliseconds patience);

    /// Whether it has rung; it is silent again.
    [[nodiscard]] bool take() noexcept;

    [[nodiscard]] int fd() const noexcept { return either_.get(); }

private:
    UniqueFd hand_;
    UniqueFd clock_;
    UniqueFd either_;
};

}  // namespace preforkd

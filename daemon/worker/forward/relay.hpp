#pragma once
// What goes on between a client and its target.
#include "daemon/worker/forward/target_end.hpp"

namespace preforkd {

/// Both directions of a stream.  While it runs, all that waits on either end is told to go when nothing has moved in
/// any direction for as long as a client may be idle, at a fast stop, and once one of the two has broken.
class Relay final : private Waiting {
public:
    /// `target`: connected.
    Relay(ConnectionCore& client, TargetEnd& target) noexcept : client_{client}, target_{target} {}

    /// Until each direction has ended.  The client's output has ended then, too, unless something broke.
    [[nodiscard]] awaitable<void> run();

    // For the directions.
    [[nodiscard]] bool is_over() const noexcept { return is_over_; }
    void moved() noexcept { last_moved_ = recent_time(); }
    void abort() noexcept;
    [[nodiscard]] Loop& loop() noexcept { return client_.loop; }

private:
    void wait_for_silence();
    void give_up() override;

    ConnectionCore& client_;
    TargetEnd& target_;
    Clock::time_point last_moved_ = recent_time();
    bool is_over_ = false;
};

}  // namespace preforkd

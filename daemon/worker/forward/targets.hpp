#pragma once
// The targets of one `to=`, and what a worker knows of them.  For several threads, and children of model fork.
#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/config/forward_settings.hpp"
#include "common/net/socket_address.hpp"
#include "common/tls/tls_client.hpp"
#include "daemon/worker/forward/shared_array.hpp"
#include "daemon/worker/forward/target_policy.hpp"

namespace preforkd {

/// What clients have learned of a target, for those that come after them.
struct TargetNotes {
    std::atomic<std::size_t> preferred{0};     ///< of its addresses
    std::atomic<Clock::rep> resting_until{0};  ///< 0: it has not failed since it worked last
};

class Target {
public:
    /// Asks the name service, and may block.  Throws OperatorError.
    Target(const ForwardTarget& target, const ForwardSettings& settings, TargetNotes& notes);

    [[nodiscard]] const std::string& name() const noexcept { return name_; }

    /// Of a host that has several, the one that has worked last comes first.
    [[nodiscard]] std::vector<SocketAddress> addresses() const;
    void has_worked(const SocketAddress& address) noexcept;

    /// Says so in the log, once while it rests.
    void has_failed(const std::string& reason) noexcept;
    [[nodiscard]] Deadline resting_until() const noexcept;

    [[nodiscard]] TlsClient* tls() const noexcept { return tls_.get(); }  ///< null: it speaks none

private:
    const std::string name_;
    const std::vector<SocketAddress> addresses_;
    const std::unique_ptr<TlsClient> tls_;
    TargetNotes& notes_;
};

class Targets {
public:
    explicit Targets(const ForwardSettings& settings);

    /// For the next client, the one to try first first.
    [[nodiscard]] std::vector<Target*> next();

private:
    SharedArray<TargetNotes> notes_;
    SharedArray<std::atomic<std::size_t>> turn_{1};
    std::deque<Target> all_{};  // which do not move
};

}  // namespace preforkd

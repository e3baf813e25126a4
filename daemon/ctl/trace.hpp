#pragma once
// What --verbose tells while it happens: addresses, times, bytes.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"

namespace preforkd {

/// Counts always, tells only where it is given somewhere to tell.  Times count from its construction, or from
/// restart().
class Trace {
public:
    /// `notes` is borrowed; -1: tell nothing.
    explicit Trace(int notes) : notes_{notes} {}

    void restart() { began_ = Clock::now(); }
    void trying(const std::string& address) { tell("trying " + address); }
    void failed(const std::string& address, const std::string& reason) { tell(address + ": " + reason); }
    void connected(const std::string& address);
    void announced(const std::string& who) { tell("announced " + who); }
    void secured(const std::string& how);
    void replies_come_to(const std::string& address) { tell("replies come to " + address); }
    void sent(std::size_t size_bytes) { sent_bytes_ += size_bytes; }
    void received(std::size_t size_bytes);  ///< also an empty datagram
    void ended();

    [[nodiscard]] std::uint64_t received_bytes() const noexcept { return received_bytes_; }

private:
    void tell(std::string_view note) const;
    [[nodiscard]] double elapsed_ms() const;

    int notes_;
    Clock::time_point began_ = Clock::now();
    std::uint64_t sent_bytes_ = 0;
    std::uint64_t received_bytes_ = 0;
    bool answered_ = false;
};

}  // namespace preforkd

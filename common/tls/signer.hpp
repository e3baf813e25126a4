#pragma once
// A worker's way to the process that has the private keys.
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "common/tls/signing.hpp"

namespace preforkd {

/// Made in the master, connected in each worker, and shared by its threads and forked children, one at a time.
///
/// A child that is killed with a request under way leaves nothing behind: the lock is given to the next one, and an
/// answer that nobody waits for any more is passed over by its number.
class Signer {
public:
    /// How long a handshake waits for its signature, the wait for others included.
    static constexpr std::chrono::milliseconds patience{1000};

    Signer() = default;
    ~Signer();
    Signer(const Signer&) = delete;
    Signer& operator=(const Signer&) = delete;

    /// In the worker, before it has threads and children.  Throws std::system_error.
    void connect(SigningEnd end);

    /// For a child that keeps what it needs; -1: not connected.
    [[nodiscard]] std::array<int, 2> descriptors() const noexcept { return {end_.requests.get(), end_.answers.get()}; }

    /// How many bytes of `signature` the signature of `bytes` has; nullopt: there is none within the time.  That is
    /// counted, and said at most once a second.
    [[nodiscard]] std::optional<std::size_t> sign(const KeyName& key, SigningKind kind,
                                                  std::span<const std::uint8_t> bytes,
                                                  std::span<std::uint8_t> signature) noexcept;

private:
    enum class Failure { None, NotConnected, Busy, Late, Gone, Refused };
    struct Shared;  ///< by the worker and its children

    [[nodiscard]] Failure ask(SigningRequest& request, SigningAnswer& answer) noexcept;
    [[nodiscard]] Failure exchange(SigningRequest& request, SigningAnswer& answer,
                                   std::chrono::steady_clock::time_point limit) const noexcept;
    [[nodiscard]] Failure send(const SigningRequest& request) const noexcept;
    void tell_of(Failure failure) noexcept;

    SigningEnd end_{};
    Shared* shared_ = nullptr;
};

}  // namespace preforkd

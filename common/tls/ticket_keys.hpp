#pragma once
// The keys of session tickets, with which a client resumes at whichever worker it meets.
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace preforkd {

struct TicketKey {
    std::array<std::uint8_t, 16> name{};    ///< stands in the ticket
    std::array<std::uint8_t, 32> mac{};     ///< HMAC-SHA256
    std::array<std::uint8_t, 32> cipher{};  ///< AES-256-CBC
    friend bool operator==(const TicketKey&, const TicketKey&) = default;
};

/// Safe to use from several threads.
class TicketKeys {
public:
    using Time = std::chrono::system_clock::time_point;
    using Name = std::array<std::uint8_t, 16>;
    struct Found {
        TicketKey key{};
        bool is_current = false;  ///< else the client is to get a new ticket
    };

    TicketKeys() = default;
    TicketKeys(const TicketKeys&) = delete;
    TicketKeys& operator=(const TicketKeys&) = delete;
    virtual ~TicketKeys() = default;

    [[nodiscard]] virtual TicketKey current(Time now) = 0;
    [[nodiscard]] virtual std::optional<Found> find(const Name& name, Time now) = 0;
};

/// Keys of this daemon's own: another one every 12 hours, and the one before is good for as long again.
///
/// Nobody has to hand them out: they follow from a secret that every process has from its master, and that a one-way
/// function replaces as time goes by.  So all workers agree, of all generations and images, and what tickets were
/// protected by a day ago nobody knows any more.
class RotatingTicketKeys final : public TicketKeys {
public:
    static constexpr std::chrono::hours period{12};

    RotatingTicketKeys();
    /// What to_text() has written.  Throws std::invalid_argument.
    explicit RotatingTicketKeys(std::string_view text);

    /// Forgets what is not needed any more, as it does with each use.  The number of the current period, from 1.
    std::int64_t advance(Time now);

    /// For another image of this master, or the next master: as secret as the keys.
    [[nodiscard]] std::string to_text();

    /// For a process that is not to have them: what it makes of them from now on is worth nothing.
    void forget() noexcept;

    [[nodiscard]] TicketKey current(Time now) override;
    [[nodiscard]] std::optional<Found> find(const Name& name, Time now) override;

private:
    using Secret = std::array<std::uint8_t, 32>;
    struct Derived {
        std::int64_t period = 0;
        TicketKey before{};
        TicketKey now{};
    };

    const Derived& derive(Time now);

    std::mutex mutex_{};
    std::int64_t first_ = 0;  ///< the period that the secret is of: the one before the current one
    Secret secret_{};
    std::optional<Derived> derived_{};
};

/// Keys of an operator's, for daemons on several machines that have one name.
class GivenTicketKeys final : public TicketKeys {
public:
    /// 80 bytes a key, as `openssl rand 80` makes them and nginx reads them: its name, 32 bytes for the MAC, 32 for the
    /// cipher.  The first makes new tickets.  Throws std::invalid_argument.
    explicit GivenTicketKeys(std::string_view file);

    [[nodiscard]] TicketKey current(Time) override { return keys_.front(); }
    [[nodiscard]] std::optional<Found> find(const Name& name, Time) override;

private:
    std::vector<TicketKey> keys_{};
};

}  // namespace preforkd

#pragma once
// What one worker publishes, in memory that all workers of its service read.
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace preforkd {

inline constexpr std::size_t bus_ring_messages = 1024;
inline constexpr std::size_t bus_ring_bytes = std::size_t{128} << 10;
inline constexpr std::size_t longest_bus_message = std::size_t{16} << 10;  // topic and text

/// The last messages of its only writer, which waits for nobody: a reader that is late finds that what it wanted has
/// been overwritten.  Whatever stands here may be half written, or written by somebody who means harm.
struct BusRing {
    struct Entry {
        std::atomic<std::uint64_t> position{};  ///< of its first byte, counted from the first that was ever written
        std::atomic<std::uint64_t> sizes{};     ///< of the topic, times 2^32, and of the text
    };

    std::atomic<std::uint64_t> published{};                      ///< messages
    alignas(64) std::atomic<std::uint64_t> claimed{};            ///< messages, with one that is being written
    std::atomic<std::uint64_t> reserved{};                       ///< bytes, likewise
    alignas(64) std::array<Entry, bus_ring_messages> entries{};  ///< message n at n % their number
    std::array<std::atomic<std::uint64_t>, bus_ring_bytes / sizeof(std::uint64_t)> words{};
};

/// The only one of its process and ring.  It goes on where one that was killed has stopped.
class BusWriter {
public:
    explicit BusWriter(BusRing& ring) noexcept;

    /// At most longest_bus_message bytes.
    void write(std::string_view topic, std::string_view text) noexcept;

private:
    BusRing& ring_;
    std::uint64_t number_;    ///< of the next message
    std::uint64_t position_;  ///< of its first byte
};

struct BusMessage {
    std::string_view topic{};
    std::string_view text{};
};

/// Somebody who reads a ring, each message once.
class BusReader {
public:
    /// From `next` on, which need not have been published yet.
    BusReader(const BusRing& ring, std::uint64_t next) noexcept : ring_{&ring}, next_{next} {}

    enum class Step { Nothing, Message, Lost };

    /// One step: into `message`, whose text is in `buffer`, or `lost` is how many were overwritten.
    [[nodiscard]] Step read(std::string& buffer, BusMessage& message, std::uint64_t& lost);

private:
    const BusRing* ring_;
    std::uint64_t next_;
};

}  // namespace preforkd

#pragma once
// Which objects there are in the memory that the workers of a service share.
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace preforkd {

inline constexpr std::size_t longest_shared_name = 47;
inline constexpr std::size_t shared_objects = 64;  // of a service

/// What an object is known by.
struct SharedName {
    std::string_view name{};
    std::uint64_t bytes = 0;
    std::uint32_t version = 0;
};

/// One object.  All workers write; what stands there is believed by nobody who must not be misled.
struct alignas(128) SharedRow {
    std::atomic<std::uint64_t> key{};         ///< of its name, size and version; 0: the row is free
    std::atomic<std::uint64_t> generation{};  ///< the last one of which a worker has asked for it
    std::atomic<std::uint64_t> bytes{};
    std::atomic<std::uint64_t> version{};
    std::array<std::atomic<std::uint64_t>, (longest_shared_name + 1) / sizeof(std::uint64_t)> words{};

    [[nodiscard]] std::string name() const;
};

struct FoundRow {
    std::size_t index = 0;
    std::optional<std::size_t> before{};  ///< it is new, and there the name has another size or version
};

/// The row of `wanted`, which takes the first free one where it has none; nullopt: there is none.  Any number of
/// processes may ask at once, and each may be killed at any instruction: one exchange of `key` decides, and what else
/// a row tells is written by everybody who asks.
[[nodiscard]] std::optional<FoundRow> find_shared_row(std::span<SharedRow> rows, const SharedName& wanted,
                                                      std::uint64_t generation);

/// Whether nobody wants what row `index` has: its name has another size or version now, and all workers are of
/// `oldest` or later, none of which has asked for this one.
[[nodiscard]] bool is_superseded(std::span<const SharedRow> rows, std::size_t index, std::uint64_t oldest);

}  // namespace preforkd

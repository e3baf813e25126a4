#pragma once
// What may stand in memory that all workers of a service share.
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace preforkd::detail {

inline constexpr std::size_t longest_shared_bytes = std::size_t{1} << 20;

/// Breaks the build, with the remedy, for a T that Worker::shared() cannot have.
template <class T>
constexpr void check_shareable() noexcept {
    static_assert(std::is_trivially_destructible_v<T> && std::is_standard_layout_v<T>,
                  "Worker::shared<T>(): T lives in memory that other processes read and nobody destroys; use numbers, "
                  "std::atomic of them, arrays, and structures of these");
    static_assert(!std::is_pointer_v<T>, "Worker::shared<T>(): an address means nothing in another process");
    static_assert(sizeof(T) <= longest_shared_bytes, "Worker::shared<T>(): an object has at most 1 MiB");
}

template <class T>
[[nodiscard]] constexpr std::uint32_t shared_version() noexcept {
    if constexpr (requires { T::version; })
        return T::version;
    else
        return 0;
}

}  // namespace preforkd::detail

#pragma once
// A message in several places.
#include <array>
#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>

namespace preforkd {

template <class Part>
concept TextOrBytes =
    std::convertible_to<const Part&, std::string_view> || std::convertible_to<const Part&, std::span<const std::byte>>;

/// Two to eight pieces of text or bytes that are sent as one: `client.write({head, body})`.  All are borrowed.
///
/// No std::initializer_list, which GCC 12 does not compile in an expression with co_await.
class Parts {
public:
    static constexpr std::size_t most = 8;

    template <TextOrBytes... Each>
        requires(sizeof...(Each) >= 2 && sizeof...(Each) <= most)
    Parts(const Each&... parts)
    noexcept : all_{bytes_of(parts)...}, count_{sizeof...(Each)} {}

    [[nodiscard]] std::span<const std::span<const std::byte>> all() const noexcept { return {all_.data(), count_}; }

private:
    template <class Part>
    static std::span<const std::byte> bytes_of(const Part& part) noexcept {
        if constexpr (std::convertible_to<const Part&, std::string_view>)
            return std::as_bytes(std::span{std::string_view{part}});
        else
            return part;
    }

    std::array<std::span<const std::byte>, most> all_{};
    std::size_t count_;
};

}  // namespace preforkd

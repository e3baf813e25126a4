#pragma once
// The rows of the table of keys behind an endpoint: parse_listen(), to_string() and --help follow it.
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/config/listen_settings.hpp"

namespace preforkd {

struct ListenRow {
    ListenKey key;
    bool (*fits)(Transport);
    void (*read)(ListenSettings&, std::string_view);
    std::optional<std::string> (*print)(const ListenSettings&);  ///< nullopt: nothing was said
    bool repeats = false;  ///< may be given more than once; printed with its name between the values
};

// What the rows of each file need.
[[nodiscard]] constexpr bool any_transport(Transport) noexcept { return true; }
[[nodiscard]] constexpr bool may_be_stream(Transport transport) noexcept { return !is_datagram(transport); }
[[nodiscard]] inline std::optional<std::string> unless_empty(const std::string& text) {
    return text.empty() ? std::nullopt : std::optional{text};
}

/// Those about clients.
[[nodiscard]] std::span<const ListenRow> client_rows() noexcept;

/// Those of the handler `forward`.
[[nodiscard]] std::span<const ListenRow> forward_rows() noexcept;

/// Those about workers of its own.
[[nodiscard]] std::span<const ListenRow> service_rows() noexcept;

/// Those about the processes of programs.
[[nodiscard]] std::span<const ListenRow> process_rows() noexcept;

/// Those that need tls://.
[[nodiscard]] std::span<const ListenRow> tls_rows() noexcept;

}  // namespace preforkd

// workers= and what else is about workers of a listener's own.
#include <array>

#include "common/config/copy_values.hpp"
#include "common/config/listen_rows.hpp"
#include "common/config/option_values.hpp"

namespace preforkd {
namespace {

constexpr NumberRange workers_of_service{.min = 1, .max = most_workers};
constexpr NumberRange connections_of_service{.min = 1, .max = most_connections};

template <class Value>
std::optional<std::string> if_said(const std::optional<Value>& value) {
    return value ? std::optional{print(*value)} : std::nullopt;
}

constexpr std::array<ListenRow, 7> rows_of_services{{
    {{"workers", "N", "all", "workers of its own, which serve it alone (default: those of --workers do)"},
     any_transport,
     [](ListenSettings& s, std::string_view text) {
         s.workers = static_cast<int>(read_number(text, workers_of_service));
     },
     [](const ListenSettings& s) { return s.workers ? std::optional{std::to_string(*s.workers)} : std::nullopt; }},
    {{"model", "async|serial|thread|fork", "all", "how workers of its own run connections, instead of --model"},
     any_transport,
     [](ListenSettings& s, std::string_view text) { s.model = read_model(text); },
     [](const ListenSettings& s) { return s.model ? std::optional{std::string{to_string(*s.model)}} : std::nullopt; }},
    {{"connections", "N", "all", "at once for each of workers of its own, instead of --connections"},
     any_transport,
     [](ListenSettings& s, std::string_view text) {
         s.connections = static_cast<int>(read_number(text, connections_of_service));
     },
     [](const ListenSettings& s) {
         return s.connections ? std::optional{std::to_string(*s.connections)} : std::nullopt;
     }},
    {{"run", "client|pool", "all", "whether its own workers start its program for each client, or are copies of it"},
     any_transport,
     [](ListenSettings& s, std::string_view text) { s.copies.run = read_run_mode(text); },
     [](const ListenSettings& s) { return if_said(s.copies.run); }},
    {{"pass", "listen|fd0|starter|einhorn", "all", "with run=pool: how copies get the socket, instead of --pass"},
     any_transport,
     [](ListenSettings& s, std::string_view text) { s.copies.pass = read_pass(text); },
     [](const ListenSettings& s) { return if_said(s.copies.pass); }},
    {{"ready", "alive:TIME|notify|fd:N", "all", "with run=pool: when a copy counts as ready, instead of --ready"},
     any_transport,
     [](ListenSettings& s, std::string_view text) { s.copies.ready = read_ready(text); },
     [](const ListenSettings& s) { return if_said(s.copies.ready); }},
    {{"stop-signal", "SIGNAL", "all", "with run=pool or inetd=wait: what asks it to end, instead of --stop-signal"},
     any_transport,
     [](ListenSettings& s, std::string_view text) { s.copies.stop_signal = read_program_signal(text); },
     [](const ListenSettings& s) {
         return s.copies.stop_signal ? std::optional{print_program_signal(*s.copies.stop_signal)} : std::nullopt;
     }},
}};

}  // namespace

std::span<const ListenRow> service_rows() noexcept { return rows_of_services; }

}  // namespace preforkd

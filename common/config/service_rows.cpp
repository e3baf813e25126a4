// workers= and what else is about workers of a listener's own.
#include <array>

#include "common/config/listen_rows.hpp"
#include "common/config/option_values.hpp"

namespace preforkd {
namespace {

constexpr NumberRange workers_of_service{.min = 1, .max = most_workers};
constexpr NumberRange connections_of_service{.min = 1, .max = most_connections};

constexpr std::array<ListenRow, 3> rows_of_services{{
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
}};

}  // namespace

std::span<const ListenRow> service_rows() noexcept { return rows_of_services; }

}  // namespace preforkd

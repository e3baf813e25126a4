#include "common/channel/stopping.hpp"

#include "preforkd/log.hpp"

namespace preforkd {

void log_cut_connections(std::uint64_t connections, int generation) noexcept {
    if (connections == 0) return;
    if (generation == 0)
        return log(LogLevel::Warning,
                   "connections were cut: {connections}, still open when --stop-timeout was over or a faster stop was "
                   "ordered",
                   {{"connections", connections}});
    log(LogLevel::Warning,
        "connections were cut: {connections} of generation {generation}, still open when --stop-timeout, or after a "
        "reload --reload-timeout, was over, or a faster stop was ordered",
        {{"connections", connections}, {"generation", std::int64_t{generation}}});
}

void close_for_good(std::vector<Listener>& listeners) noexcept {
    for (Listener& listener : listeners) {
        if (!listener.outlives_us()) {
            if (!listener.passed_on) refuse_new_connections(listener);
            remove_socket_file(listener);
        }
        listener.fd = {};
    }
}

}  // namespace preforkd

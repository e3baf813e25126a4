#pragma once
#include <vector>

#include "common/net/listener.hpp"

namespace preforkd {

/// The final stop, seen from whoever bound the listeners: no new client gets in, Unix paths go, our copies are closed.
/// Whoever is queued can still be accepted through the workers' copies.  Sockets that outlive us are only closed.
inline void close_for_good(std::vector<Listener>& listeners) noexcept {
    for (Listener& listener : listeners) {
        if (!listener.outlives_us()) {
            refuse_new_connections(listener);
            remove_socket_file(listener);
        }
        listener.fd = {};
    }
}

}  // namespace preforkd

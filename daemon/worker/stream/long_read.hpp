#pragma once
// What both kinds of connection say of a read that asks for more than their buffer holds: often a client has said how
// much.
#include "daemon/worker/loop/buffer_pool.hpp"
#include "preforkd/endpoint.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

inline void log_long_read(const Endpoint& peer, std::size_t size_bytes) {
    log(LogLevel::Notice,
        "{peer} is to send {size_bytes} bytes at once, more than the {limit_bytes} that are read without a buffer of "
        "the handler's own",
        {{"peer", address_of(peer)},
         {"size_bytes", std::uint64_t{size_bytes}},
         {"limit_bytes", std::uint64_t{BufferPool::buffer_bytes}}});
}

}  // namespace preforkd

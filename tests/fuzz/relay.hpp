#pragma once
// The relay between a client that speaks TLS and a program, under whatever these two do in whatever order.
#include <string_view>

namespace preforkd::fuzz {

/// Of `script`, the first byte says how small the buffers are and what a cut means; then come pairs of an act and its
/// amount.  What must hold: bytes come in order and whole, or the end is an error; either side's end reaches the other,
/// behind its last byte; nobody waits for what could be done; the relay comes to rest when nobody does anything.
void drive_relay(std::string_view script);

}  // namespace preforkd::fuzz

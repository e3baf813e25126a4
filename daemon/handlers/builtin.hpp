#pragma once
// The entries that builtin_handlers() gathers, one file each here; forward, which needs the worker, is in
// worker/forward.
#include "preforkd/handlers.hpp"

namespace preforkd {

[[nodiscard]] HandlerEntry greet_handler();
[[nodiscard]] HandlerEntry print_handler();
[[nodiscard]] HandlerEntry echo_handler();
[[nodiscard]] HandlerEntry discard_handler();
[[nodiscard]] HandlerEntry daytime_handler();
[[nodiscard]] HandlerEntry chargen_handler();
[[nodiscard]] HandlerEntry forward_handler();

}  // namespace preforkd

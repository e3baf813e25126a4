#pragma once
// A server's handlers as its models see them: the author's instance, and what it throws is noticed.
#include <exception>
#include <functional>
#include <memory>

#include "preforkd/handler.hpp"
#include "preforkd/handlers.hpp"

namespace preforkd {

/// What the server wants to know of its handlers.
struct Watching {
    std::function<void()> entered{};                     ///< a request of this server runs in the calling thread
    std::function<void(std::exception_ptr)> left_for{};  ///< a handler has thrown ServerExit
};

/// `entry` with its instances made now, and for every later serving the same.  `watching` must outlive it.
[[nodiscard]] HandlerEntry watch_handler(const HandlerEntry& entry, const HandlerOptions& options,
                                         const Watching& watching);

}  // namespace preforkd

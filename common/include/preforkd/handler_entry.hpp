#pragma once
// The entry of a handler class, which is what run(), Server and PREFORKD_HANDLER take.
#include <concepts>
#include <memory>
#include <string>
#include <utility>

#include "preforkd/handler.hpp"
#include "preforkd/handlers.hpp"

namespace preforkd {

/// Whether Class derives, publicly, from exactly one stream kind, or one datagram kind, or one of each.
template <class Class>
concept HandlerClass =
    (std::derived_from<Class, StreamHandler> || std::derived_from<Class, BlockingHandler> ||
     std::derived_from<Class, DatagramHandler> ||
     std::derived_from<
         Class, AsyncDatagramHandler>)&&!(std::derived_from<Class, StreamHandler> &&
                                          std::derived_from<
                                              Class, BlockingHandler>)&&!(std::derived_from<Class, DatagramHandler> &&
                                                                          std::derived_from<Class,
                                                                                            AsyncDatagramHandler>);

namespace detail {

template <class Class, class Kind>
MakeHandler<Kind> maker_of() {
    if constexpr (!std::derived_from<Class, Kind>)
        return {};
    else if constexpr (std::constructible_from<Class, const HandlerOptions&>)
        return [](const HandlerOptions& options) { return std::make_unique<Class>(options); };
    else
        return [](const HandlerOptions&) { return std::make_unique<Class>(); };
}

}  // namespace detail

/// The entry that makes Class, from HandlerOptions if it has such a constructor, under `name`.  The model is that of
/// its kind: async for coroutines, serial for code that blocks.  Two members of Class, if it has them, say more:
///
///     static constexpr const char* summary = "one line for --list-handlers";
///     static constexpr bool owns_threads = true;
template <HandlerClass Class>
[[nodiscard]] HandlerEntry handler(std::string name) {
    constexpr bool coroutines =
        std::derived_from<Class, StreamHandler> || std::derived_from<Class, AsyncDatagramHandler>;
    HandlerEntry entry{.name = std::move(name),
                       .model = coroutines ? Model::Async : Model::Serial,
                       .make_stream = detail::maker_of<Class, StreamHandler>(),
                       .make_blocking = detail::maker_of<Class, BlockingHandler>(),
                       .make_datagram = detail::maker_of<Class, DatagramHandler>(),
                       .make_async_datagram = detail::maker_of<Class, AsyncDatagramHandler>()};
    if constexpr (requires { Class::summary; }) entry.summary = Class::summary;
    if constexpr (requires { Class::owns_threads; }) entry.owns_threads = Class::owns_threads;
    return entry;
}

}  // namespace preforkd

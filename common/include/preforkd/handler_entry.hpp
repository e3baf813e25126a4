#pragma once
// The entry of a handler class, which is what run(), Server and PREFORKD_HANDLER take.
#include <algorithm>
#include <concepts>
#include <iterator>
#include <memory>
#include <string>
#include <type_traits>
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

/// What an author's mistake is, instead of what the templates below make of it.
template <class Class>
consteval bool can_be_made() {
    static_assert(
        HandlerClass<Class>,
        "a handler class derives publicly from StreamHandler or BlockingHandler (connections), from "
        "DatagramHandler or AsyncDatagramHandler (datagrams), or from one of the first and one of the others");
    static_assert(!std::is_abstract_v<Class>,
                  "the handler class lacks serve(): override it with the argument and the result that it has in "
                  "StreamHandler, BlockingHandler, DatagramHandler or AsyncDatagramHandler");
    static_assert(std::is_abstract_v<Class> || std::default_initializable<Class> ||
                      std::constructible_from<Class, const HandlerOptions&>,
                  "each worker makes a handler of its own, without arguments or from const preforkd::HandlerOptions&: "
                  "take what differs from its options() or --greeting, and make the rest in the constructor");
    return true;
}

template <class Class, class Kind>
MakeHandler<Kind> maker_of() {
    if constexpr (!std::derived_from<Class, Kind>)
        return {};
    else if constexpr (std::constructible_from<Class, const HandlerOptions&>)
        return [](const HandlerOptions& options) { return std::make_unique<Class>(options); };
    else
        return [](const HandlerOptions&) { return std::make_unique<Class>(); };
}

/// What Class says of itself.
template <class Class>
void fill_in(HandlerEntry& entry) {
    constexpr bool coroutines =
        std::derived_from<Class, StreamHandler> || std::derived_from<Class, AsyncDatagramHandler>;
    entry.model = coroutines ? Model::Async : Model::Serial;
    if constexpr (requires { Class::summary; }) entry.summary = Class::summary;
    if constexpr (requires { Class::owns_threads; }) entry.owns_threads = Class::owns_threads;
    if constexpr (requires { Class::uses_shared_memory; }) entry.uses_shared_memory = Class::uses_shared_memory;
    if constexpr (requires { Class::uses_bus; }) entry.uses_bus = Class::uses_bus;
    if constexpr (requires { Class::models; }) {
        static_assert(std::size(Class::models) != 0, "models names at least one");
        static_assert(!std::derived_from<Class, BlockingHandler> ||
                          std::ranges::any_of(Class::models, [](Model each) { return each != Model::Async; }),
                      "a BlockingHandler blocks: models needs Model::Serial, Model::Thread or Model::Fork");
        entry.models.assign(std::begin(Class::models), std::end(Class::models));
        if (std::ranges::find(entry.models, entry.model) == entry.models.end()) entry.model = entry.models.front();
    }
    if constexpr (requires { Class::why_models; }) entry.why_models = Class::why_models;
    if constexpr (requires(Options & own) { Class::options(own); }) {
        Options own;
        Class::options(own);
        entry.options = own.all();
    }
}

}  // namespace detail

/// The entry that makes Class, from HandlerOptions if it has such a constructor, under `name`.  The model is that of
/// its kind: async for coroutines, serial for code that blocks; or the first of `models`, where that is not among them.
/// Members of Class, if it has them, say more:
///
///     static constexpr const char* summary = "one line for --list-handlers";
///     static constexpr bool owns_threads = true;
///     static constexpr bool uses_shared_memory = true;               // it calls Worker::shared()
///     static constexpr bool uses_bus = true;                         // it calls Worker::bus()
///     static constexpr auto models = {Model::Async, Model::Serial};  // any other is refused at start
///     static constexpr const char* why_models = "its connection to the database is for one thread";
///     static void options(preforkd::Options& own) { own.add("database", "PATH", "where it is"); }
template <class Class>
    requires(detail::can_be_made<Class>())
[[nodiscard]] HandlerEntry handler(std::string name) {
    HandlerEntry entry{.name = std::move(name),
                       .make_stream = detail::maker_of<Class, StreamHandler>(),
                       .make_blocking = detail::maker_of<Class, BlockingHandler>(),
                       .make_datagram = detail::maker_of<Class, DatagramHandler>(),
                       .make_async_datagram = detail::maker_of<Class, AsyncDatagramHandler>()};
    detail::fill_in<Class>(entry);
    return entry;
}

}  // namespace preforkd

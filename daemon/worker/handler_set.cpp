#include "daemon/worker/handler_set.hpp"

#include "common/settings.hpp"

namespace preforkd {

const HandlerEntry& HandlerSet::entry_for(const Listener& listener) const {
    return *plan_.handlers.find(handler_of(listener.settings, plan_.settings));
}

template <class Kind>
Kind* HandlerSet::instance(std::map<std::string, std::unique_ptr<Kind>>& made, const std::string& name,
                           const MakeHandler<Kind>& make) {
    auto& handler = made[name];
    if (!handler) handler = make({.greeting = plan_.settings.greeting});
    return handler.get();
}

AnyStreamHandler HandlerSet::stream_handler(const Listener& listener) {
    const HandlerEntry& entry = entry_for(listener);
    if (entry.make_stream) return instance(streams_, entry.name, entry.make_stream);
    return instance(blocking_, entry.name, entry.make_blocking);
}

AnyDatagramHandler HandlerSet::datagram_handler(const Listener& listener) {
    const HandlerEntry& entry = entry_for(listener);
    if (entry.make_datagram) return instance(datagrams_, entry.name, entry.make_datagram);
    return instance(async_datagrams_, entry.name, entry.make_async_datagram);
}

void HandlerSet::for_each(const std::function<void(Handler&)>& hook) {
    for (const auto& [name, handler] : streams_) hook(*handler);
    for (const auto& [name, handler] : blocking_) hook(*handler);
    for (const auto& [name, handler] : datagrams_) hook(*handler);
    for (const auto& [name, handler] : async_datagrams_) hook(*handler);
}

}  // namespace preforkd

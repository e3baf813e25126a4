#include "daemon/worker/handler/handler_set.hpp"

#include <algorithm>

#include "common/config/forward_check.hpp"
#include "common/config/own_options.hpp"
#include "common/config/settings.hpp"

namespace preforkd {

const HandlerEntry& HandlerSet::entry_for(const Listener& listener) const {
    return *plan_.handlers.find(handler_of(listener.settings, plan_.settings));
}

template <class Kind>
Kind* HandlerSet::instance(const HandlerEntry& entry, const MakeHandler<Kind>& make) {
    return made_[entry.name].get(make, options_for(entry, plan_.settings));
}

StreamHandler* HandlerSet::forwarding(const Listener& listener) {
    const ForwardSettings forward = forward_at(listener.settings, plan_.settings);
    const auto same = std::ranges::find(forwarding_, forward, &Forwarding::settings);
    Forwarding& found = same != forwarding_.end() ? *same : forwarding_.emplace_back(Forwarding{forward, {}});
    return found.instances.get(entry_for(listener).make_stream, {.forward = &found.settings});
}

AnyStreamHandler HandlerSet::stream_handler(const Listener& listener) {
    const HandlerEntry& entry = entry_for(listener);
    if (entry.forwards) return forwarding(listener);
    if (entry.make_stream) return instance(entry, entry.make_stream);
    return instance(entry, entry.make_blocking);
}

AnyDatagramHandler HandlerSet::datagram_handler(const Listener& listener) {
    const HandlerEntry& entry = entry_for(listener);
    if (entry.make_datagram) return instance(entry, entry.make_datagram);
    return instance(entry, entry.make_async_datagram);
}

void HandlerSet::for_each(const std::function<void(Handler&)>& hook) {
    for (const auto& [name, instances] : made_) instances.for_each(hook);
    for (const Forwarding& each : forwarding_) each.instances.for_each(hook);
}

}  // namespace preforkd

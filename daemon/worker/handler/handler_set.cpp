#include "daemon/worker/handler/handler_set.hpp"

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

AnyStreamHandler HandlerSet::stream_handler(const Listener& listener) {
    const HandlerEntry& entry = entry_for(listener);
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
}

}  // namespace preforkd

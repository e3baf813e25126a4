#include "preforkd/handlers.hpp"

#include <algorithm>

#include "daemon/handlers/builtin.hpp"
#include "preforkd/handler.hpp"

namespace preforkd {

Handlers::Handlers(HandlerEntry entry) { add(std::move(entry)); }

Handlers::Handlers(std::initializer_list<HandlerEntry> entries) {
    for (const HandlerEntry& entry : entries) add(entry);
}

Handlers& Handlers::add(HandlerEntry entry) {
    const auto same = std::ranges::find(entries_, entry.name, &HandlerEntry::name);
    if (same != entries_.end())
        *same = std::move(entry);
    else
        entries_.push_back(std::move(entry));
    return *this;
}

const HandlerEntry* Handlers::find(const std::string& name) const noexcept {
    const auto found = std::ranges::find(entries_, name, &HandlerEntry::name);
    return found == entries_.end() ? nullptr : &*found;
}

Handlers builtin_handlers() {
    Handlers handlers;
    handlers.add(greet_handler()).add(print_handler()).add(echo_handler());
    handlers.add(discard_handler()).add(daytime_handler()).add(chargen_handler()).add(forward_handler());
    return handlers;
}

}  // namespace preforkd

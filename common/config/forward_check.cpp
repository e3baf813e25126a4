#include "common/config/forward_check.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "common/base/quoted.hpp"

namespace preforkd {

namespace {

/// What is wrong with a listener that forwards, in a sentence; empty: nothing.
std::string why_not_forward(const ListenSettings& listener, const ForwardSettings& forward) {
    const bool any_tls = std::ranges::any_of(forward.to, &ForwardTarget::tls);
    if (!any_tls && !(forward.ca.empty() && forward.name.empty()))
        return "to-ca= and to-name= are about TLS, which no target speaks; write tls:// for tcp://, or leave them away";
    for (const ForwardTarget& target : forward.to) {
        if (target.endpoint == listener.endpoint)
            return fmt::format("to {} it would forward to itself; name another target", printable(to_string(target)));
        const bool has_host = target.endpoint.transport == Transport::Tcp && !target.endpoint.host.empty();
        if (target.tls && !has_host && forward.name.empty())
            return fmt::format("{} has no host that its certificate could be for; name one with to-name=",
                               printable(to_string(target)));
    }
    return {};
}

}  // namespace

void check_forwarding(const Settings& settings, const Origins& origins,
                      const std::function<bool(const std::string& handler)>& forwards) {
    bool takes_default = false;
    for (std::size_t i = 0; i < settings.listen.size(); ++i) {
        const ListenSettings& listener = settings.listen[i];
        const auto refuse = [&](std::string_view sentence) {
            blame(origin_of(origins, "listen", i), "listen",
                  fmt::format("{}: {}", printable(to_string(listener.endpoint)), sentence));
        };
        if (is_program_at(listener, settings) || !forwards(handler_of(listener, settings))) {
            if (listener.forward != ForwardSettings{})
                refuse(
                    "to=, send-proxy=, connect-timeout=, to-ca= and to-name= are the handler forward's; add "
                    "handler=forward");
            continue;
        }
        const ForwardSettings forward = forward_at(listener, settings);
        takes_default |= listener.forward.to.empty();
        if (forward.to.empty()) {
            if (!listener.handler.empty()) refuse("forward needs a target; add to=tcp://HOST:PORT");
            blame(origin_of(origins, "handler"), "handler", "forward needs a target; add --to tcp://HOST:PORT");
        }
        if (settings.sandbox == SandboxMode::Strict)
            blame(origin_of(origins, "sandbox"), "sandbox",
                  "strict leaves workers no connections of their own, which forward makes; use --sandbox auto");
        if (const std::string misfit = why_not_forward(listener, forward); !misfit.empty()) refuse(misfit);
    }
    if (!settings.to.empty() && !takes_default)
        blame(origin_of(origins, "to"), "to", "is for the handler forward, and nobody uses it; add --handler forward");
}

}  // namespace preforkd

#include "daemon/worker/datagram/datagram_rules.hpp"

#include <algorithm>
#include <utility>

namespace preforkd {

DatagramRules datagram_rules(const WorkerPlan& plan, const Listener& listener) {
    const bool answers_anything =
        plan.handlers.find(handler_of(listener.settings, plan.settings))->answers_any_datagram;
    DatagramRules rules{.handler_answers_anything = answers_anything};
    for (const Listener& each : plan.listeners) {
        if (each.local.transport == Transport::Udp) rules.own_ports.push_back(each.local.port);
        // One that has no name cannot be sent to.
        if (each.local.transport == Transport::UnixDatagram && !each.local.path.empty())
            rules.own_unix_addresses.push_back(resolve(each.local).front());
    }
    // Nobody can forge a Unix sender.
    if (listener.local.transport != Transport::Udp) return rules;
    rules.amplifies = listener.settings.amplify.value_or(!answers_anything);
    return rules;
}

SourceCheck::SourceCheck(DatagramRules rules) : rules_{std::move(rules)} {}

std::optional<SourceFault> SourceCheck::fault_of(const SocketAddress& sender, const SocketAddress& destination) {
    const auto host = host_address_of(sender);
    if (!host) {
        const bool own = std::ranges::find(rules_.own_unix_addresses, sender) != rules_.own_unix_addresses.end();
        return own ? std::optional{SourceFault::OwnListener} : std::nullopt;
    }
    const auto is_local = [&](const HostAddress& address) {
        return is_loopback(address) || address == host_address_of(destination) || local_.contain(address, Clock::now());
    };
    return judge_source({.host = *host, .port = sender.port()}, rules_.own_ports, rules_.handler_answers_anything,
                        is_local);
}

}  // namespace preforkd

#pragma once
#include <functional>
#include <list>
#include <map>
#include <string>
#include <utility>
#include <variant>

#include "daemon/worker/handler/handler_instances.hpp"
#include "daemon/worker/process/worker_plan.hpp"

namespace preforkd {

/// The worker's instance for a stream listener, of whichever kind its entry makes.
using AnyStreamHandler = std::variant<StreamHandler*, BlockingHandler*>;

/// The same for a datagram listener.
using AnyDatagramHandler = std::variant<DatagramHandler*, AsyncDatagramHandler*>;

/// The worker's handler instances, for each name that a listener asks for.  Made when first asked for, after the fork.
class HandlerSet {
public:
    explicit HandlerSet(const WorkerPlan& plan) : plan_{plan} {}

    /// The settings check has made sure that the entry serves this kind of listener.
    [[nodiscard]] AnyStreamHandler stream_handler(const Listener& listener);
    [[nodiscard]] AnyDatagramHandler datagram_handler(const Listener& listener);

    /// Calls `hook` with each instance: worker_started(), service_actions(), worker_draining(), worker_leaving().
    void for_each(const std::function<void(Handler&)>& hook);

    /// Whether this is the first time.
    [[nodiscard]] bool begin_drain() noexcept { return !std::exchange(draining_, true); }

private:
    template <class Kind>
    [[nodiscard]] Kind* instance(const HandlerEntry& entry, const MakeHandler<Kind>& make);
    [[nodiscard]] StreamHandler* forwarding(const Listener& listener);
    [[nodiscard]] const HandlerEntry& entry_for(const Listener& listener) const;

    const WorkerPlan& plan_;
    std::map<std::string, HandlerInstances> made_{};
    bool draining_ = false;

    /// Listeners that forward to the same targets share what is known of these.
    struct Forwarding {
        ForwardSettings settings;
        HandlerInstances instances;
    };
    std::list<Forwarding> forwarding_{};
};

}  // namespace preforkd

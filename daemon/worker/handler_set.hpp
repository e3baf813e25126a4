#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>

#include "daemon/worker/worker.hpp"
#include "preforkd/handler.hpp"

namespace preforkd {

/// The worker's instance for a stream listener, of whichever kind its entry makes.
using AnyStreamHandler = std::variant<StreamHandler*, BlockingHandler*>;

/// The same for a datagram listener.
using AnyDatagramHandler = std::variant<DatagramHandler*, AsyncDatagramHandler*>;

/// The worker's handler instances, one for each name and transport kind that a listener asks for.  Made when first
/// asked for, after the fork.
class HandlerSet {
public:
    explicit HandlerSet(const WorkerPlan& plan) : plan_{plan} {}

    /// The settings check has made sure that the entry serves this kind of listener.
    [[nodiscard]] AnyStreamHandler stream_handler(const Listener& listener);
    [[nodiscard]] AnyDatagramHandler datagram_handler(const Listener& listener);

    /// Calls `hook` with each instance: worker_started(), service_actions(), worker_leaving().
    void for_each(const std::function<void(Handler&)>& hook);

private:
    template <class Kind>
    [[nodiscard]] Kind* instance(std::map<std::string, std::unique_ptr<Kind>>& made, const std::string& name,
                                 const MakeHandler<Kind>& make);
    [[nodiscard]] const HandlerEntry& entry_for(const Listener& listener) const;

    const WorkerPlan& plan_;
    std::map<std::string, std::unique_ptr<StreamHandler>> streams_{};
    std::map<std::string, std::unique_ptr<BlockingHandler>> blocking_{};
    std::map<std::string, std::unique_ptr<DatagramHandler>> datagrams_{};
    std::map<std::string, std::unique_ptr<AsyncDatagramHandler>> async_datagrams_{};
};

}  // namespace preforkd

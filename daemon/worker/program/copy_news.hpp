#pragma once
// What a copy of a program tells while it runs: that it is ready, above all.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/unique_fd.hpp"
#include "common/config/settings.hpp"
#include "daemon/worker/loop/reactor.hpp"
#include "daemon/worker/program/copy_notification.hpp"
#include "daemon/worker/program/notify_listener.hpp"

namespace preforkd {

class CopyNews {
public:
    struct Hooks {
        std::function<void()> ready{};  ///< once, but for a program that says so again
        std::function<void(const CopyNotification& said)> said{};
    };

    CopyNews(Reactor& reactor, const Settings& settings, Hooks hooks);
    ~CopyNews();
    CopyNews(const CopyNews&) = delete;
    CopyNews& operator=(const CopyNews&) = delete;

    /// NAME=VALUE each: NOTIFY_SOCKET and WATCHDOG_USEC.
    [[nodiscard]] std::vector<std::string> variables() const;

    /// What becomes descriptor `settings.ready.fd` of the copy; -1: nothing does.
    [[nodiscard]] int for_the_copy() const noexcept { return writer_.get(); }

    void begin();  ///< the copy runs
    void end();    ///< it does not any more: its last words

private:
    void forget();
    void hear();
    void read_pipe();

    Reactor& reactor_;
    const Settings& settings_;
    Hooks hooks_;
    std::unique_ptr<Timer> timer_;
    std::optional<NotifyListener> notifications_{};
    UniqueFd reader_{};
    UniqueFd writer_{};
};

}  // namespace preforkd

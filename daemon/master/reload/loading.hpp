#pragma once
// What a reload does before anything is forked.
#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>

#include "common/base/clock.hpp"
#include "common/base/epoll_set.hpp"
#include "daemon/master/pool/generation.hpp"

namespace preforkd {

/// The next generation on its way: settings that are read, handlers on trial, an address that may become free.  Never
/// waits: the master goes on between its steps.
class Loading {
public:
    virtual ~Loading() = default;

    /// Goes on as far as it can.  The generation, once it is there, with what it adds to the sockets of `current` open;
    /// nullopt: go on at deadline(), when a child of its has been reaped, or when something of its has woken `events`.
    /// Throws the reason why there will be none, and then nothing has changed.
    [[nodiscard]] virtual std::optional<Generation> go_on(const Generation& current, EpollSet& events,
                                                          Clock::time_point now) = 0;
    [[nodiscard]] virtual Deadline deadline() const = 0;

    /// Collects the child `pid`, which has ended; false if it is none of this.
    virtual bool reap(pid_t pid) = 0;
    /// Kills its children.
    virtual void give_up() = 0;
};

/// Reads the settings, or takes those of `keep`.  May throw the reason why they cannot be used.
using BeginLoading = std::function<std::unique_ptr<Loading>(const Generation* keep)>;

}  // namespace preforkd

#pragma once
// The other end of sd_notify(3), for one copy of a program.
#include <sys/types.h>

#include <optional>
#include <string>

#include "common/base/unique_fd.hpp"

namespace preforkd {

/// A datagram socket at an abstract address that the kernel has chosen.  Descriptors that come along are closed, as is
/// what BARRIER=1 waits for.
class NotifyListener {
public:
    NotifyListener();

    [[nodiscard]] int fd() const noexcept { return socket_.get(); }
    [[nodiscard]] const std::string& address() const noexcept { return address_; }  ///< for NOTIFY_SOCKET: `@0004f`

    /// The next message of a process below this one; others are thrown away.  nullopt: there is none.
    [[nodiscard]] std::optional<std::string> receive();

private:
    UniqueFd socket_;
    std::string address_{};
};

/// Whether `pid` was started by this process, or by one that was.  Who is below a subreaper stays there.
[[nodiscard]] bool is_below_us(pid_t pid);

}  // namespace preforkd

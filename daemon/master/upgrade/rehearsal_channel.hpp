#pragma once
// Between the running image and the one that rehearses as its child: packets over a socket.
//
//   child   hello: the formats of a handover that it reads
//   master  the descriptors of the handover, its text first
//   child   the verdict
//
// A program that is no preforkd says no hello, and so has nothing of the service that it could keep.
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/unique_fd.hpp"
#include "daemon/master/pool/handover.hpp"

namespace preforkd {

struct RehearsalChannel {
    UniqueFd master{};
    UniqueFd child{};  ///< blocks
};

/// Both close-on-exec.  Throws std::system_error.
[[nodiscard]] RehearsalChannel open_rehearsal_channel();

[[nodiscard]] std::string to_hello(FormatRange formats);
/// nullopt: it is none.
[[nodiscard]] std::optional<FormatRange> parse_hello(const std::string& packet);

inline constexpr std::string_view verdict_passed = "passed";

/// One packet, or one write to a pipe, cut to PIPE_BUF bytes.
void write_packet(int fd, std::string_view text) noexcept;

/// Tells the verdict and waits to be killed: what the child has started is found as long as it lives.  Returns where
/// nobody kills it, as at a pipe.
void give_verdict(int child, std::string_view verdict) noexcept;

/// Never blocks.  Empty: the child's end is closed; nullopt: nothing yet.
[[nodiscard]] std::optional<std::string> read_packet(int master);

/// Never blocks; a child that is gone is not an error.  Throws std::system_error when the channel takes no more.
void send_descriptors(int master, std::span<const int> descriptors);

/// All that were sent by one call, in their order and close-on-exec.  Throws std::system_error when this process has no
/// space for them, std::runtime_error when the sender is gone.
[[nodiscard]] std::vector<UniqueFd> receive_descriptors(int child);

}  // namespace preforkd

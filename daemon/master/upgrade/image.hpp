#pragma once
// The program that this process runs, and how another takes its place.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/unique_fd.hpp"
#include "common/tls/ticket_keys.hpp"
#include "daemon/master/pool/handover.hpp"

namespace preforkd {

/// How this process was started, and so how the next image of it is.
struct Launch {
    std::vector<std::string> arguments{};    ///< argv, the program's name included
    std::vector<std::string> environment{};  ///< NAME=value as they were given, without what is given once
    std::string executable{};                ///< where a new image is looked for
    rlimit descriptor_limit{};               ///< RLIMIT_NOFILE as it was given
    /// Of the tickets of its clients, which the next image goes on to accept.
    std::shared_ptr<RotatingTicketKeys> ticket_keys = std::make_shared<RotatingTicketKeys>();
};

/// Where this process's executable stands: what argv[0] names, on PATH where it has no slash, if that is it (a symbolic
/// link may lead elsewhere tomorrow), otherwise its path.  Call it at start, before the file can be replaced.
[[nodiscard]] std::string find_executable(const std::string& argv0);

/// The file that this process executes, without symbolic links; empty without /proc.
[[nodiscard]] std::string own_file();

/// Whether the file `image` is the one that this process executes.
[[nodiscard]] bool is_own_file(int image) noexcept;

/// The file of this very image, whatever stands at its path by now.
[[nodiscard]] UniqueFd open_own_image();

/// Those that the image before had, or new ones.
[[nodiscard]] std::shared_ptr<RotatingTicketKeys> ticket_keys_of(const Handover& handover);

/// How the image that wrote `handover` was started.
[[nodiscard]] Launch launch_of(const Handover& handover);

/// Leaves out what is meant for the first image alone: passed sockets, an earlier handover.
[[nodiscard]] std::vector<std::string> lasting_environment(const std::vector<std::string>& environment);

/// The handover for this process, if another image has executed it; its descriptors are close-on-exec.  `report`: where
/// a rehearsal tells its verdict, also when this throws; -1: this is none.  Throws std::exception when the handover
/// cannot be had, or is not understood.
[[nodiscard]] std::optional<Handover> take_handover(int& report);

/// To a rehearsal that has said hello.  Never blocks.  Throws std::system_error.
void send_handover(int channel, Handover& handover);

/// The same with descriptors of its own, for a taker while the first may still be needed.  Throws
/// std::system_error.
[[nodiscard]] Handover duplicate(const Handover& handover);

/// Closes whatever it names.
void close_descriptors(Handover& handover) noexcept;

/// Executes the file `image` (if it is not -1), or else what stands at launch.executable, in place of this process and
/// with all descriptors that `handover` names.  Returns only when that fails, with errno, and nothing has changed.
[[nodiscard]] int become(int image, const Launch& launch, Handover& handover) noexcept;

/// The same in a child, for a rehearsal: nothing but `channel` stays open.
[[nodiscard]] int become_rehearsal(const Launch& launch, int channel);

}  // namespace preforkd

#pragma once
// What one image of the master leaves to the next: a text, and descriptors that stay open over the exec.
#include <sys/resource.h>
#include <sys/types.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/config/settings.hpp"
#include "common/net/unix_path.hpp"
#include "daemon/master/pool/worker_table.hpp"

namespace preforkd {

struct HandedListener {
    int fd = -1;
    std::string settings{};  ///< as behind --listen
    std::string local{};     ///< an endpoint
    bool inherited = false;
    std::optional<FileIdentity> file{};
    std::string passed_name{};
    int sources = -1;                      ///< memfd; since format 5; -1: nobody is counted
    std::vector<std::uint64_t> refused{};  ///< as RefusalTotals; without what that memfd tells
    Serves serves = Serves::Clients;       ///< others since format 6
    bool order_lost = false;
    friend bool operator==(const HandedListener&, const HandedListener&) = default;
};

/// Somebody who is connected to the control socket.
struct HandedPeer {
    int fd = -1;
    std::string heard{};   ///< of a request that is not whole yet; any bytes
    std::string unsent{};  ///< of an answer
    bool last = false;     ///< no request is read any more
    bool waits_for_reload = false;
    friend bool operator==(const HandedPeer&, const HandedPeer&) = default;
};

struct HandedControl {
    int fd = -1;  ///< -1: there is none
    std::string local{};
    std::optional<FileIdentity> file{};
    std::vector<int> waiting{};            ///< for how the upgrade ends
    std::vector<HandedPeer> peers{};       ///< the others; since format 2
    std::optional<std::string> setting{};  ///< --control as it was; nullopt: its writer has not said
    std::optional<std::string> name{};     ///< --name, likewise
    friend bool operator==(const HandedControl&, const HandedControl&) = default;
};

/// The pipe into which workers log, and the processes that read it or have read it, oldest first.
struct HandedLog {
    int reader = -1;  ///< -1: there is no pipe
    int writer = -1;  ///< -1: no worker will have it any more
    std::vector<pid_t> processes{};
    friend bool operator==(const HandedLog&, const HandedLog&) = default;
};

struct HandedWorker {
    pid_t pid = 0;
    int number = 0;
    int generation = 0;
    std::string service{};        ///< as in WorkerEntry
    int slot = 0;                 ///< likewise
    std::size_t connections = 0;  ///< likewise; 0: its writer knew of no services
    std::size_t record = 0;
    int orders = -1;
    int reports = -1;  ///< since format 3; -1: of an image before that, whose workers are not heard
    int printed = -1;  ///< -1: it prints to what the master prints to
    Clock::time_point started{};
    WorkerEntry::State state{};
    Deadline patience{};
    Clock::time_point told{};        ///< Leaving: since when it is; the epoch: its writer has not said
    bool runs_programs = false;      ///< as in WorkerEntry; no word of it where its writer knew no FinishWithin
    bool hears_finish_time = false;  ///< likewise
    bool stopped = false;
    DeathOrder order = DeathOrder::None;
    UnsentOrders unsent{};
    int signing_requests = -1;  ///< what a key process needs to sign for it; since format 6; -1: none does
    int signing_answers = -1;   ///< likewise
    pid_t key_process = 0;      ///< that does
    friend bool operator==(const HandedWorker&, const HandedWorker&) = default;
};

/// What a dead worker had started and is still running.
struct HandedGroup {
    pid_t group = 0;
    Clock::time_point kill_at{};
    friend bool operator==(const HandedGroup&, const HandedGroup&) = default;
};

/// Memory that workers share with each other, whatever its layout.
struct HandedArea {
    int memory = -1;
    int wakeup = -1;  ///< an eventfd; -1: it has none
    friend bool operator==(const HandedArea&, const HandedArea&) = default;
};

/// Connections of a generation that were cut, and are not told of yet.
struct HandedCut {
    int generation = 0;
    std::uint64_t connections = 0;
    friend bool operator==(const HandedCut&, const HandedCut&) = default;
};

/// The formats that a version reads, and writes.
struct FormatRange {
    int oldest = 0;
    int newest = 0;
};

/// A field is added without a new format, and reads as zero or empty where it lacks.  One with descriptors is not:
/// where the reader does not know it they would be nobody's.
inline constexpr FormatRange known_formats{.oldest = 1, .newest = 7};

/// The newest format that both know.
[[nodiscard]] constexpr std::optional<int> common_format(FormatRange one, FormatRange other) {
    const int newest = std::min(one.newest, other.newest);
    return newest < std::max(one.oldest, other.oldest) ? std::nullopt : std::optional{newest};
}

/// Plain data; the descriptors are borrowed from whoever wrote it, and belong to whoever has read it.
struct Handover {
    int format = known_formats.newest;
    enum class Purpose {
        Rehearsal,  ///< restore a copy, boot one worker, say how it went, end
        Upgrade,    ///< carry on with these workers until a generation of this image is ready
        Resume,     ///< the upgrade failed: carry on with these workers, which are this image's own
    } purpose{};
    std::string version{};  ///< of the image that wrote it
    std::string reason{};   ///< Resume: why the upgrade failed

    // The process
    std::vector<std::string> arguments{};      ///< argv of the image that wrote it
    std::vector<std::string> environment{};    ///< NAME=value
    std::string executable{};                  ///< its path, where an upgrade finds the new image
    int old_image = -1;                        ///< Upgrade: the file of the image before
    int report = -1;                           ///< Rehearsal, in format 1: a pipe for the verdict
    rlimit descriptor_limit{};                 ///< RLIMIT_NOFILE as the daemon was given it
    std::string ticket_keys{};                 ///< of TLS, as RotatingTicketKeys writes them: a secret
    std::optional<std::string> config_text{};  ///< what the file said that -C names when it was last read
    Clock::time_point started{};

    // The current generation
    int generation = 1;
    int last_generation = 1;  ///< the highest number that was given
    int workers = 1;
    int workers_ordered = 0;        ///< while it ran; 0: nobody has
    std::string workers_setting{};  ///< --workers, as it was when that was ordered
    bool runs_copies = false;       ///< of a program that accepts by itself
    std::size_t connections = 1;
    std::chrono::milliseconds stop_timeout{};
    std::chrono::milliseconds worker_timeout{};
    std::vector<HandedListener> listeners{};  ///< those that are not for clients, too

    // The pool
    int scoreboard = -1;                         ///< memfd
    std::optional<WorkerTotals> dead_workers{};  ///< nullopt: as the scoreboard's header says
    std::vector<HandedWorker> workers_alive{};
    std::size_t workers_to_come = 0;  ///< Rehearsal: how many of these the upgrade itself will hand over
    std::vector<HandedGroup> groups{};
    std::uint64_t replaced = 0;
    std::uint64_t dropped_log_lines = 0;  ///< by masters
    HandedLog log{};                      ///< since format 4
    std::vector<pid_t> key_processes{};   ///< that live, until the last worker has gone that they sign for
    std::vector<HandedCut> cut{};
    std::string deaths{};             ///< as to_json(DeathRing) writes them
    int count_memory = -1;            ///< memfd; since format 6
    std::string counts{};             ///< as CountRegister writes them
    std::vector<HandedArea> areas{};  ///< since format 7

    HandedControl control{};
};

[[nodiscard]] std::string to_text(const Handover& handover);

/// Leaves out what a reader of `format` does not know.
void restrict_to(int format, Handover& handover);

/// Throws std::runtime_error with one sentence when `text` is nothing that this version reads.
[[nodiscard]] Handover parse_handover(std::string_view text);

/// Every descriptor that it names.  Write through the pointers to name others.
[[nodiscard]] std::vector<int*> descriptors_of(Handover& handover);

}  // namespace preforkd

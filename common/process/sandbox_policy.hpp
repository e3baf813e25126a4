#pragma once
// What --sandbox is for which service, and which system calls it takes from every worker.  Pure.
//
// Sources: the groups of systemd's SystemCallFilter= (systemd.exec(5)), the default profile of Docker's containers, the
// sandbox of OpenSSH (sandbox-seccomp-filter.c).
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "preforkd/model.hpp"

namespace preforkd {

enum class SandboxMode { Auto, Off, Strict };

/// What a worker puts on.  What has been put on stays on, in whatever it starts as well.
struct SandboxParts {
    bool denies = false;       ///< no_new_privs, and a filter that takes away what no model needs
    bool allows_only = false;  ///< no_new_privs, and a filter that leaves what the model needs
    bool files = false;        ///< Landlock: the files that are named, and no others

    [[nodiscard]] constexpr bool any() const noexcept { return denies || allows_only || files; }
    friend bool operator==(const SandboxParts&, const SandboxParts&) = default;
};

/// What a service consists of, as far as its sandbox depends on that.
struct SandboxedService {
    Model model = Model::Async;
    bool starts_programs = false;  ///< `-- PROGRAM`: which calls one needs, nobody knows
};

/// Programs get nothing unless `programs_too`: sudo, sendmail and ping gain rights by being executed.
[[nodiscard]] constexpr SandboxParts sandbox_parts(SandboxMode mode, const SandboxedService& service,
                                                   bool programs_too) noexcept {
    if (mode == SandboxMode::Off || (service.starts_programs && !programs_too)) return {};
    if (mode == SandboxMode::Auto) return {.denies = true};
    return {.denies = service.starts_programs, .allows_only = !service.starts_programs, .files = true};
}

static_assert(!sandbox_parts(SandboxMode::Off, {}, true).any());
static_assert(sandbox_parts(SandboxMode::Auto, {}, false) == SandboxParts{.denies = true});
static_assert(!sandbox_parts(SandboxMode::Strict, {.starts_programs = true}, false).any());
static_assert(sandbox_parts(SandboxMode::Strict, {}, false) == SandboxParts{.allows_only = true, .files = true});

/// Holds of a call when (its argument & mask) == value.
struct ArgumentTest {
    unsigned index;
    std::uint64_t mask;
    std::uint64_t value;
};

/// A system call by name; with a test, only where that holds of it.
struct CallRule {
    std::string_view name;
    std::optional<ArgumentTest> when{};
    std::optional<ArgumentTest> and_when{};  ///< of another argument
};

namespace sandbox {

// Source: clone(2), linux/sched.h; setns(2).
inline constexpr std::uint64_t new_user = 0x10000000;
// The kernel reads 32 bits of these and ignores what stands above.  Source: CVE-2019-10063
inline constexpr std::uint64_t number_bits = 0xffffffff;

[[nodiscard]] constexpr ArgumentTest has_flag(unsigned index, std::uint64_t flag) {
    return {.index = index, .mask = flag, .value = flag};
}
[[nodiscard]] constexpr ArgumentTest is(unsigned index, std::uint64_t value) {
    return {.index = index, .mask = number_bits, .value = value};
}

/// The flags of clone(2) come second on one architecture.  Source: clone(2)
#ifdef __s390__
inline constexpr unsigned clone_flags = 1;
#else
inline constexpr unsigned clone_flags = 0;
#endif

/// What no model needs, and a worker that was taken over could use against others of its user or against the kernel:
/// EPERM.  A handler may resolve names, open a database, log, start processes, and change to another directory, root
/// or network namespace.
inline constexpr auto denied = std::to_array<std::string_view>(
    {// Other processes.
     "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp",
     // What is mounted, and files by other ways than their paths.
     "mount", "umount", "umount2", "pivot_root", "open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick",
     "mount_setattr", "open_by_handle_at", "swapon", "swapoff", "quotactl", "quotactl_fd", "acct",
     // The kernel itself, and the parts of it in which most mistakes are found.
     "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot", "syslog", "bpf",
     "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "add_key", "keyctl",
     "request_key",
     // The machine.
     "iopl", "ioperm", "settimeofday", "stime", "clock_settime", "sethostname", "setdomainname", "vhangup",
     // Of former times.
     "modify_ldt", "vm86", "vm86old", "uselib", "nfsservctl", "lookup_dcookie", "remap_file_pages"});

/// The same of calls that are needed otherwise.
inline constexpr auto denied_if = std::to_array<CallRule>({
    // A user namespace makes root of anybody, and with that all of the kernel can be asked.
    {"unshare", has_flag(0, new_user)},
    {"clone", has_flag(clone_flags, new_user)},
    {"setns", has_flag(1, new_user)},
    {"setns", is(1, 0)},  // of whichever kind it is
    // Characters in the queue of a terminal, as if typed there.  Source: ioctl_tty(2)
    {"ioctl", is(1, 0x5412)},  // TIOCSTI
    {"ioctl", is(1, 0x541c)},  // TIOCLINUX
    {"fcntl", is(1, 1031)},    // F_SETPIPE_SZ: the pipe of the log is everybody's
    // What a socket that all workers share cannot be rid of.  Source: tcp(7), udp(7), linux/tcp.h, linux/udp.h
    {"setsockopt", is(1, 6), is(2, 14)},    // TCP_MD5SIG
    {"setsockopt", is(1, 6), is(2, 32)},    // TCP_MD5SIG_EXT
    {"setsockopt", is(1, 17), is(2, 100)},  // UDP_ENCAP
});

/// Unknown rather than denied, ENOSYS: its flags are in memory, where no filter sees them, and the C library then takes
/// clone(2).
inline constexpr std::string_view hidden = "clone3";

}  // namespace sandbox

}  // namespace preforkd

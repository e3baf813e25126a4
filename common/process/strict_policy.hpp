#pragma once
// Which system calls --sandbox strict leaves to a worker.  Pure.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "common/process/sandbox_policy.hpp"

namespace preforkd {

namespace sandbox {

// Source: clone(2), linux/sched.h
inline constexpr std::uint64_t new_any = 0x7e020080;  // a time, mount, cgroup, UTS, IPC, user, PID or network namespace
inline constexpr std::uint64_t same_process = 0x00010000;  // CLONE_THREAD

/// For every model, as measured over the tests.
inline constexpr auto allowed = std::to_array<std::string_view>(
    {// Clients.
     "accept4", "read", "readv", "recvfrom", "recvmsg", "recvmmsg", "write", "writev", "pwritev2", "sendto", "sendmsg",
     "sendmmsg", "shutdown", "close", "close_range", "getsockname", "getpeername", "getsockopt",
     // The loop, the clock, signals.
     "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "poll", "ppoll", "eventfd2", "timerfd_create",
     "timerfd_settime", "signalfd4", "clock_gettime", "gettimeofday", "time", "restart_syscall", "rt_sigaction",
     "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "alarm", "setitimer", "pause", "nanosleep", "clock_nanosleep",
     "select", "pselect6", "tgkill", "kill", "dup", "dup2", "dup3",
     // Itself.
     "getpid", "getrlimit", "gettid", "getppid", "getpgrp", "getpgid", "exit", "exit_group", "mmap", "munmap",
     "mprotect", "madvise", "brk", "futex", "getrandom", "sched_yield",
     // Files: Landlock decides which.  The other calls that open one are made into this (denied_calls.hpp).
     "openat2", "pread64", "preadv", "getdents64", "readlink", "readlinkat", "fadvise64", "getcwd",
     // Metadata, which Landlock leaves to all.
     "fstat", "newfstatat", "stat", "lstat", "statx", "access", "faccessat", "faccessat2", "lseek"});
inline constexpr auto allowed_if = std::to_array<CallRule>({
    {"fcntl", is(1, 0)},
    {"fcntl", is(1, 1)},
    {"fcntl", is(1, 2)},
    {"fcntl", is(1, 3)},
    {"fcntl", is(1, 4)},  // F_DUPFD, F_GETFD...
    {"fcntl", is(1, 5)},
    {"fcntl", is(1, 6)},
    {"fcntl", is(1, 7)},  // F_GETLK, F_SETLK, F_SETLKW
    {"fcntl", is(1, 36)},
    {"fcntl", is(1, 37)},
    {"fcntl", is(1, 38)},  // F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW
    {"fcntl", is(1, 1030)},
    {"fcntl", is(1, 1032)},     // F_DUPFD_CLOEXEC, F_GETPIPE_SZ
    {"setsockopt", is(1, 1)},   // SOL_SOCKET
    {"setsockopt", is(1, 0)},   // IPPROTO_IP
    {"setsockopt", is(1, 41)},  // IPPROTO_IPV6
    // Of TCP what is about one connection: TCP_NODELAY to TCP_CONGESTION, TCP_USER_TIMEOUT, TCP_NOTSENT_LOWAT.
    {"setsockopt", is(1, 6), is(2, 1)},
    {"setsockopt", is(1, 6), is(2, 2)},
    {"setsockopt", is(1, 6), is(2, 3)},
    {"setsockopt", is(1, 6), is(2, 4)},
    {"setsockopt", is(1, 6), is(2, 5)},
    {"setsockopt", is(1, 6), is(2, 6)},
    {"setsockopt", is(1, 6), is(2, 7)},
    {"setsockopt", is(1, 6), is(2, 8)},
    {"setsockopt", is(1, 6), is(2, 9)},
    {"setsockopt", is(1, 6), is(2, 10)},
    {"setsockopt", is(1, 6), is(2, 12)},
    {"setsockopt", is(1, 6), is(2, 13)},
    {"setsockopt", is(1, 6), is(2, 18)},
    {"setsockopt", is(1, 6), is(2, 25)},
    {"ioctl", is(1, 0x5421)},  // FIONBIO
    {"ioctl", is(1, 0x541b)},  // FIONREAD
    {"ioctl", is(1, 0x5401)},  // TCGETS, by which stdio knows a terminal
    {"prctl", is(0, 15)},      // PR_SET_NAME
    {"prctl", is(0, 1)},       // PR_SET_PDEATHSIG
    {"prlimit64", ArgumentTest{.index = 2, .mask = ~std::uint64_t{0}, .value = 0}},  // what a limit is, not a new one
});

/// Threads, but no processes.  The one that watches beside handlers is a thread, too.
inline constexpr auto allowed_for_threads =
    std::to_array<std::string_view>({"set_robust_list", "rseq", "sched_getaffinity"});
inline constexpr CallRule a_thread{
    "clone", ArgumentTest{.index = clone_flags, .mask = new_any | same_process, .value = same_process}};

/// Processes, but no namespaces and no programs.
inline constexpr auto allowed_for_children =
    std::to_array<std::string_view>({"fork", "vfork", "set_robust_list", "rseq", "wait4", "waitid", "pidfd_open",
                                     "pidfd_send_signal", "timer_create", "timer_settime"});
inline constexpr CallRule a_child{"clone", ArgumentTest{.index = clone_flags, .mask = new_any, .value = 0}};

inline constexpr auto allowed_for_writing = std::to_array<std::string_view>(
    {"pwrite64", "pwritev", "ftruncate", "truncate",  "fallocate", "fsync",          "fdatasync", "flock",
     "mkdir",    "mkdirat", "rmdir",     "unlink",    "unlinkat",  "rename",         "renameat",  "renameat2",
     "link",     "linkat",  "symlink",   "symlinkat", "sendfile",  "copy_file_range"});
/// As std::filesystem::copy_file and others finish a file that they have written.  No filter sees which file it is, so
/// this takes one that is open, also if it may only be read; nobody gets more of it than the permissions of its owner,
/// who is the worker: no set-user-ID, set-group-ID or sticky bit.
inline constexpr CallRule permissions_of_an_open_file{"fchmod", ArgumentTest{.index = 1, .mask = 07000, .value = 0}};

/// Whether `call` would be left if --allow-write named something.
[[nodiscard]] constexpr bool is_for_writing(std::string_view call) noexcept {
    return call == permissions_of_an_open_file.name ||
           std::ranges::find(allowed_for_writing, call) != allowed_for_writing.end();
}

}  // namespace sandbox

/// What decides how much is left.
struct StrictNeeds {
    Model model = Model::Async;
    bool writes_files = false;
};

[[nodiscard]] inline std::vector<CallRule> strictly_needed(const StrictNeeds& needs) {
    std::vector<CallRule> calls{sandbox::allowed_if.begin(), sandbox::allowed_if.end()};
    const auto add = [&calls](const auto& names) {
        for (const std::string_view name : names) calls.push_back({name});
    };
    add(sandbox::allowed);
    const bool forks = needs.model == Model::Fork;
    calls.push_back(forks ? sandbox::a_child : sandbox::a_thread);
    forks ? add(sandbox::allowed_for_children) : add(sandbox::allowed_for_threads);
    if (needs.writes_files) {
        add(sandbox::allowed_for_writing);
        calls.push_back(sandbox::permissions_of_an_open_file);
    }
    return calls;
}

}  // namespace preforkd

#pragma once
// What the process that has the private keys is left with.  Pure.
#include <array>
#include <cstdint>

#include "common/process/strict_policy.hpp"

namespace preforkd {

namespace key_service {

/// Every system call that it makes once it has read the keys: pipes that it is given, threads, memory, random numbers.
inline constexpr auto calls = std::to_array<CallRule>({{"recvmsg"},
                                                       {"read"},
                                                       {"write"},
                                                       {"close"},
                                                       // Threads, one for each worker.
                                                       sandbox::a_thread,
                                                       {"set_robust_list"},
                                                       {"rseq"},
                                                       {"rt_sigprocmask"},
                                                       {"futex"},
                                                       {"exit"},
                                                       {"sched_yield"},
                                                       {"mmap"},
                                                       {"munmap"},
                                                       {"mprotect"},
                                                       {"madvise"},
                                                       {"brk"},
                                                       // OpenSSL's random numbers.
                                                       {"getrandom"},
                                                       {"getpid"},
                                                       {"gettid"},
                                                       {"clock_gettime"},
                                                       {"gettimeofday"},
                                                       {"time"},
                                                       {"restart_syscall"},
                                                       {"rt_sigreturn"},
                                                       {"exit_group"}});

// Those that systemd gives to services which want a user for as long as they run.  Source: systemd.exec(5),
// DynamicUser=
inline constexpr std::uint32_t first_user = 61184;
inline constexpr std::uint32_t last_user = 65519;

/// A number for the user that it becomes, as its group's: each master's own, as far as there are enough.
[[nodiscard]] constexpr std::uint32_t user_of(std::uint32_t master) noexcept {
    return first_user + master % (last_user - first_user + 1);
}

static_assert(user_of(0) == first_user && user_of(last_user - first_user) == last_user);

}  // namespace key_service

}  // namespace preforkd

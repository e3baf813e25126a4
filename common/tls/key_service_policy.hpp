#pragma once
// What the process that has the private keys is left with.  Pure.
#include <array>

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

}  // namespace key_service

}  // namespace preforkd

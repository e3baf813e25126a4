#pragma once
// Where bpftrace, perf and SystemTap can look on (USDT): an instruction each that does nothing, and a note in the
// program that tells where it is and where its arguments are.  preforkd(8) has the table of them, which a test
// compares.
//
// Their arguments are what is at hand where they stand, so that nothing is prepared for nobody.
#include <sys/socket.h>
#include <sys/types.h>

#include <cstdint>

#if __has_include(<sys/sdt.h>) && !defined(PREFORKD_WITHOUT_PROBES)
#include <sys/sdt.h>
#else
#define STAP_PROBE2(provider, name, ...) (void)0
#define STAP_PROBE3(provider, name, ...) (void)0
#define STAP_PROBE4(provider, name, ...) (void)0
#define STAP_PROBE5(provider, name, ...) (void)0
#endif

namespace preforkd::probe {

// Of stream connections.  `listener` is where, as in the log; `began_ns`, CLOCK_MONOTONIC, is one connection's alone.

/// `wait_ms`: in the accept queue; -1: not measured.
[[gnu::always_inline]] inline void connection_accept([[maybe_unused]] const char* listener,
                                                     [[maybe_unused]] std::int64_t began_ns, [[maybe_unused]] int fd,
                                                     [[maybe_unused]] std::int64_t wait_ms,
                                                     [[maybe_unused]] const sockaddr* peer) noexcept {
    STAP_PROBE5(preforkd, connection_accept, listener, began_ns, fd, wait_ms, peer);
}
/// In the process that has served it: with the model fork a child.
[[gnu::always_inline]] inline void connection_close([[maybe_unused]] const char* listener,
                                                    [[maybe_unused]] std::int64_t began_ns,
                                                    [[maybe_unused]] std::int64_t duration_ns,
                                                    [[maybe_unused]] const char* outcome) noexcept {
    STAP_PROBE4(preforkd, connection_close, listener, began_ns, duration_ns, outcome);
}

// In the master

inline void worker_spawn([[maybe_unused]] int number, [[maybe_unused]] pid_t pid,
                         [[maybe_unused]] int generation) noexcept {
    STAP_PROBE3(preforkd, worker_spawn, number, pid, generation);
}
/// `cause`: as preforkd_worker_deaths_total counts it.
inline void worker_exit([[maybe_unused]] int number, [[maybe_unused]] pid_t pid, [[maybe_unused]] const char* cause,
                        [[maybe_unused]] std::int64_t age_ms) noexcept {
    STAP_PROBE4(preforkd, worker_exit, number, pid, cause, age_ms);
}
/// `done`: 0 where everything is as it was; `generation`: which serves now.
inline void reload([[maybe_unused]] int done, [[maybe_unused]] int generation) noexcept {
    STAP_PROBE2(preforkd, reload, done, generation);
}
/// `version`: which runs now.
inline void upgrade([[maybe_unused]] int done, [[maybe_unused]] const char* version) noexcept {
    STAP_PROBE2(preforkd, upgrade, done, version);
}

}  // namespace preforkd::probe

#pragma once
// What the generators have in common.
//
// The work of those of long-lived traffic has two parts: preparing (connecting, a first exchange), after which they
// print "ready" and wait for a line on standard input, and what is measured, after which they print one line of JSON.
// At the end of their standard input they leave; the benchmark reads the server's counters in between.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <system_error>
#include <vector>

#include "arguments.hpp"

namespace load {

using Clock = std::chrono::steady_clock;

[[noreturn]] inline void fail(const std::string& attempt, int error = errno) {
    throw std::system_error{error, std::generic_category(), attempt};
}

inline int check(int result, const char* attempt) {
    if (result < 0) fail(attempt);
    return result;
}

/// Where the server is.  Another option of a generator is its own.
inline Number port() { return {.name = "port", .least = 1, .most = 65'535}; }

inline sockaddr_in loopback(std::uint32_t address, std::size_t port) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(address);
    name.sin_port = htons(static_cast<std::uint16_t>(port));
    return name;
}

/// A socket connected to 127.0.0.1:`port`.  `source`: the last part of its own address, 127.0.0.x; each has ports of
/// its own.
inline int connect_from(std::size_t source, std::size_t port, int type = SOCK_STREAM) {
    const int fd = check(::socket(AF_INET, type | SOCK_CLOEXEC, 0), "socket");
    const int on = 1;
    ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    const sockaddr_in own = loopback(INADDR_LOOPBACK - 1 + static_cast<std::uint32_t>(source), 0);
    check(::bind(fd, reinterpret_cast<const sockaddr*>(&own), sizeof own), "bind source");
    const sockaddr_in server = loopback(INADDR_LOOPBACK, port);
    check(::connect(fd, reinterpret_cast<const sockaddr*>(&server), sizeof server), "connect");
    return fd;
}

/// Closes without leaving TIME_WAIT on either side.
inline void reset(int fd) {
    const linger now{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    ::close(fd);
}

/// Bytes in which no two places look alike for long, so that a reply out of place is seen.
class Pattern {
public:
    explicit Pattern(std::size_t longest) : bytes_(period + longest) {
        std::uint32_t state = 12345;
        for (std::size_t each = 0; each < bytes_.size(); ++each) {
            if (each < period) state = state * 1664525 + 1013904223;
            bytes_[each] = each < period ? static_cast<char>(state >> 24) : bytes_[each - period];
        }
    }

    /// Valid for `longest` bytes.
    [[nodiscard]] const char* at(std::size_t position) const { return bytes_.data() + position % period; }

private:
    static constexpr std::size_t period = 65'521;
    std::vector<char> bytes_;
};

inline void say_ready_and_wait() {
    std::cout << "ready" << std::endl;
    std::string line;
    if (!std::getline(std::cin, line)) std::exit(0);
}

inline void wait_for_the_end() {
    std::string line;
    while (std::getline(std::cin, line)) continue;
}

inline double percentile_us(std::vector<Clock::duration>& times, std::size_t percent) {
    if (times.empty()) return 0;
    const auto at = times.begin() + static_cast<std::ptrdiff_t>((times.size() - 1) * percent / 100);
    std::nth_element(times.begin(), at, times.end());
    return std::chrono::duration<double, std::micro>{*at}.count();
}

/// What became of the work: each piece of it is in one of these.
struct Tally {
    std::size_t done = 0;  ///< answered in time
    std::size_t late = 0;  ///< answered when nobody waited for it any more
    std::size_t lost = 0;
};

inline void report(const Tally& tally, std::vector<Clock::duration>& times) {
    std::printf("{\"done\": %zu, \"late\": %zu, \"lost\": %zu, \"p50_us\": %.1f, \"p99_us\": %.1f}\n", tally.done,
                tally.late, tally.lost, percentile_us(times, 50), percentile_us(times, 99));
    std::fflush(stdout);
}

/// main() of a generator.
template <class Run>
int run_generator(const char* name, Run&& run) {
    try {
        run();
        return 0;
    } catch (const UsageError& error) {
        std::fprintf(stderr, "%s: %s\n", name, error.what());
        return EX_USAGE;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: %s\n", name, error.what());
        return 1;
    }
}

}  // namespace load

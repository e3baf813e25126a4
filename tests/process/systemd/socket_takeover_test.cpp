#include "common/systemd/socket_takeover.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <string>

#include "common/base/sys_error.hpp"
#include "common/config/listen_settings.hpp"
#include "common/process/descriptors.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;

/// Any descriptor stands for a socket; those of one are duplicates.
std::vector<Listener> duplicates_of(const UniqueFd& socket, int count) {
    std::vector<Listener> listeners;
    for (int each = 0; each < count; ++each) {
        const ListenSettings settings = parse_listen("unix://@" + std::to_string(each));
        listeners.push_back({.fd = UniqueFd{check(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 3), "duplicate")},
                             .settings = settings,
                             .local = settings.endpoint});
    }
    return listeners;
}

UniqueFd a_file(const char* path) { return UniqueFd{check(::open(path, O_RDONLY | O_CLOEXEC), "open")}; }

std::chrono::nanoseconds cpu_time() {
    timespec used{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return std::chrono::seconds{used.tv_sec} + std::chrono::nanoseconds{used.tv_nsec};
}

TEST(SocketTakeover, what_only_one_has_is_told_by_the_socket_and_not_by_the_descriptor) {
    const UniqueFd shared = a_file("/proc/self/stat");
    const UniqueFd own = a_file("/proc/self/status");
    std::vector<Listener> listeners = duplicates_of(shared, 3);
    listeners[1].fd = UniqueFd{check(::fcntl(own.get(), F_DUPFD_CLOEXEC, 3), "duplicate")};
    EXPECT_EQ(only_in(listeners, duplicates_of(shared, 1)), std::vector<std::uint32_t>{1});
    EXPECT_EQ(only_in(listeners, {}), (std::vector<std::uint32_t>{0, 1, 2}));
    listeners[2].fd = {};  // closed by now: nobody else's
    EXPECT_EQ(only_in(listeners, duplicates_of(shared, 1)), (std::vector<std::uint32_t>{1, 2}));
}

TEST(SocketTakeover, thousands_of_listeners_are_no_work) {
    constexpr int many = 4000;
    if (raise_descriptor_limit().usable < 3 * many) GTEST_SKIP() << "the hard limit on open files is too low";
    const std::vector<Listener> current = duplicates_of(a_file("/proc/self/stat"), many);
    const std::vector<Listener> others = duplicates_of(a_file("/proc/self/status"), many / 2);
    Settings settings{.listen_is_default = false};
    for (const Listener& each : current) settings.listen.push_back(each.settings);

    const auto before = cpu_time();
    const Takeover taken = take_over_sockets(current, settings);
    EXPECT_EQ(taken.listeners.size(), std::size_t{many});
    EXPECT_TRUE(taken.unbound.empty());
    EXPECT_EQ(only_in(current, others).size(), std::size_t{many});
    EXPECT_LT(cpu_time() - before, 500ms);  // pair by pair it is eight million system calls
}

}  // namespace
}  // namespace preforkd

// What systemd receives, over a real socket, and that it can stop receiving without stopping us.
#include "common/systemd/systemd_notify.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>

#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"
#include "service_manager.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using namespace testing;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

TEST_F(Notify, is_silent_outside_systemd) {
    SystemdNotify notify;
    EXPECT_FALSE(notify.active());
    EXPECT_EQ(notify.watchdog_period(), std::nullopt);
    notify.ready("8 workers");
    notify.status("x");
    notify.watchdog();
    EXPECT_TRUE(notify.flush());
}

TEST_F(Notify, says_what_the_master_is_doing) {
    const Manager manager{name()};
    set("NOTIFY_SOCKET", name());
    SystemdNotify notify;
    EXPECT_TRUE(notify.active());
    notify.ready("8 workers");
    EXPECT_EQ(manager.receive(), "READY=1\nSTATUS=8 workers");
    notify.watchdog();
    EXPECT_EQ(manager.receive(), "WATCHDOG=1");
    notify.extend_timeout(5s);
    EXPECT_EQ(manager.receive(), "EXTEND_TIMEOUT_USEC=5000000");
    notify.stopping();
    EXPECT_EQ(manager.receive(), "STOPPING=1");
    EXPECT_EQ(manager.receive(), "");
}

TEST_F(Notify, a_path_is_an_address_too) {
    const std::string path = ::testing::TempDir() + "notify-" + std::to_string(::getpid());
    const Manager manager{path};
    set("NOTIFY_SOCKET", path);
    SystemdNotify{}.stopping();
    EXPECT_EQ(manager.receive(), "STOPPING=1");
    std::filesystem::remove(path);
}

TEST_F(Notify, a_reload_carries_its_time_in_the_same_datagram) {
    const Manager manager{name()};
    set("NOTIFY_SOCKET", name());
    ::timespec before{};
    ::clock_gettime(CLOCK_MONOTONIC, &before);
    SystemdNotify{}.reloading();
    const std::string message = manager.receive();
    ASSERT_THAT(message, MatchesRegex("RELOADING=1\nMONOTONIC_USEC=[0-9]+"));
    const std::int64_t usec = std::stoll(message.substr(message.rfind('=') + 1));
    const std::int64_t start = before.tv_sec * 1'000'000 + before.tv_nsec / 1'000;
    EXPECT_GE(usec, start);
    EXPECT_LT(usec, start + 10'000'000);
}

TEST_F(Notify, a_status_is_sent_when_it_changes_and_is_one_line) {
    const Manager manager{name()};
    set("NOTIFY_SOCKET", name());
    SystemdNotify notify;
    notify.ready("a");
    EXPECT_NE(manager.receive(), "");
    notify.status("a");
    EXPECT_EQ(manager.receive(), "");
    notify.status("b\nSTOPPING=1");
    EXPECT_EQ(manager.receive(), "STATUS=b STOPPING=1");
    notify.status("a");
    EXPECT_EQ(manager.receive(), "STATUS=a");
}

TEST_F(Notify, children_do_not_inherit_the_variables) {
    set("NOTIFY_SOCKET", "@x");
    set("WATCHDOG_USEC", "3000000");
    set("WATCHDOG_PID", "1");
    const SystemdNotify notify;
    for (const char* variable : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) {
        EXPECT_EQ(::getenv(variable), nullptr) << variable;
    }
}

TEST_F(Notify, the_watchdog_is_for_the_process_it_names) {
    const auto period = [](const std::string& usec, const std::string& pid) {
        set("NOTIFY_SOCKET", "@x");
        set("WATCHDOG_USEC", usec);
        pid.empty() ? ::unsetenv("WATCHDOG_PID") : ::setenv("WATCHDOG_PID", pid.c_str(), 1);
        return SystemdNotify{}.watchdog_period();
    };
    EXPECT_EQ(period("3000000", std::to_string(::getpid())), 1500ms);
    EXPECT_EQ(period("3000000", ""), 1500ms);
    EXPECT_EQ(period("3000000", std::to_string(::getpid() + 1)), std::nullopt);
    for (const char* never : {"0", "", "soon", "3s", "-3", "18446744073709551615"}) {
        EXPECT_EQ(period(never, ""), std::nullopt) << never;
    }
    EXPECT_EQ(period("18446744073709551614", ""), 1h) << "what can be added to a time";
}

TEST_F(Notify, an_address_that_is_none_is_nobody) {
    for (const std::string& address :
         {std::string{"relative"}, std::string{"@"}, std::string{"vsock:2:1"}, "/" + std::string(200, 'x')}) {
        set("NOTIFY_SOCKET", address);
        EXPECT_FALSE(SystemdNotify{}.active()) << address;
    }
    set("NOTIFY_SOCKET", name());  // where nobody listens
    SystemdNotify notify;
    notify.ready("x");
    EXPECT_TRUE(notify.flush());
}

TEST_F(Notify, the_store_is_as_large_as_the_service_manager_says) {
    const auto limit = [](const char* said) {
        set("NOTIFY_SOCKET", "@x");
        said == nullptr ? ::unsetenv("FDSTORE") : ::setenv("FDSTORE", said, 1);
        const SystemdNotify notify;
        EXPECT_EQ(::getenv("FDSTORE"), nullptr);
        return notify.store_limit();
    };
    EXPECT_EQ(limit("16"), 16U);
    for (const char* none : {static_cast<const char*>(nullptr), "", "0", "-1", "many"}) EXPECT_EQ(limit(none), 0U);
    ::unsetenv("NOTIFY_SOCKET");
    ::setenv("FDSTORE", "16", 1);
    EXPECT_EQ(SystemdNotify{}.store_limit(), 0U);
}

TEST_F(Notify, a_stored_descriptor_is_kept_although_ours_is_closed) {
    const Manager manager{name()};
    set("NOTIFY_SOCKET", name());
    SystemdNotify notify;
    std::array<int, 2> ends{};
    check(::pipe2(ends.data(), O_CLOEXEC), "pipe");
    const UniqueFd reader{ends[0]};
    UniqueFd writer{ends[1]};
    notify.store("web", writer.get());
    writer = {};
    const UniqueFd kept = manager.receive_descriptor();
    ASSERT_TRUE(kept);
    EXPECT_EQ(::write(kept.get(), "x", 1), 1);
    char byte = 0;
    EXPECT_EQ(::read(reader.get(), &byte, 1), 1);

    notify.store("web", reader.get());
    EXPECT_EQ(manager.receive(), "FDSTORE=1\nFDPOLL=0\nFDNAME=web");
    notify.forget("web");
    EXPECT_EQ(manager.receive(), "FDSTOREREMOVE=1\nFDNAME=web");
}

TEST_F(Notify, a_manager_that_does_not_read_is_told_later_what_to_store_and_in_order) {
    const Manager manager{name()};
    set("NOTIFY_SOCKET", name());
    SystemdNotify notify;
    notify.ready("x");
    do { notify.reloading(); } while (notify.flush());
    notify.store("a", 0);
    notify.forget("b");
    while (manager.receive() != "")
        ;
    EXPECT_TRUE(notify.flush());
    EXPECT_EQ(manager.receive(), "FDSTORE=1\nFDPOLL=0\nFDNAME=a");
    EXPECT_EQ(manager.receive(), "FDSTOREREMOVE=1\nFDNAME=b");
    EXPECT_THAT(manager.receive(), StartsWith("RELOADING=1"));
}

TEST_F(Notify, a_manager_that_does_not_read_stops_nobody_and_learns_the_last_state) {
    const Manager manager{name()};
    set("NOTIFY_SOCKET", name());
    SystemdNotify notify;
    notify.ready("x");
    int filling = 0;
    do { notify.status(std::to_string(++filling)); } while (notify.reloading(), notify.flush());
    notify.stopping();
    EXPECT_FALSE(notify.flush());
    std::string last;
    for (std::string message; !(message = manager.receive()).empty();) last = message;
    EXPECT_NE(last, "STOPPING=1");
    notify.status("draining");
    EXPECT_EQ(manager.receive(), "STOPPING=1");
    EXPECT_EQ(manager.receive(), "STATUS=draining");
    EXPECT_TRUE(notify.flush());
}

}  // namespace
}  // namespace preforkd

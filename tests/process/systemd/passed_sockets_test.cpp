#include "common/systemd/passed_sockets.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "child_report.hpp"
#include "common/base/sys_error.hpp"
#include "common/systemd/fd_store_policy.hpp"

namespace preforkd {
namespace {

using namespace testing;

UniqueFd some_socket() { return UniqueFd{check(::socket(AF_UNIX, SOCK_STREAM, 0), "socket")}; }

/// What systemd does before it executes a service: sockets from 3 on, and the variables.
void pass(std::vector<UniqueFd> sockets, const std::string& names, pid_t pid) {
    std::vector<int> parked;  // above 100, since the originals may have the numbers that are wanted
    for (const UniqueFd& each : sockets) parked.push_back(check(::fcntl(each.get(), F_DUPFD, 100), "dup"));
    sockets.clear();
    for (std::size_t each = 0; each < parked.size(); ++each)
        check(::dup2(parked[each], 3 + static_cast<int>(each)), "dup2");
    ::setenv("LISTEN_PID", std::to_string(pid).c_str(), 1);
    ::setenv("LISTEN_FDS", std::to_string(parked.size()).c_str(), 1);
    if (!names.empty()) ::setenv("LISTEN_FDNAMES", names.c_str(), 1);
}

std::vector<UniqueFd> two_sockets() {
    std::vector<UniqueFd> sockets;
    sockets.push_back(some_socket());
    sockets.push_back(some_socket());
    return sockets;
}

TEST(TakePassedSockets, there_are_none_without_systemd) { EXPECT_TRUE(take_passed_sockets().empty()); }

TEST(TakePassedSockets, descriptors_come_with_their_names_and_the_variables_are_gone) {
    const std::string report = in_child([]() -> std::string {
        pass(two_sockets(), "web:control", ::getpid());
        std::string seen;
        for (const PassedSocket& each : take_passed_sockets()) {
            seen += fmt::format("{} {} {};", each.fd.get(), each.name, ::fcntl(each.fd.get(), F_GETFD) == FD_CLOEXEC);
        }
        for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"})
            if (std::getenv(name) != nullptr) seen += name;
        return seen;
    });
    EXPECT_EQ(report, "3 web true;4 control true;");
}

TEST(TakePassedSockets, a_socket_without_a_name_is_called_unknown) {
    const std::string report = in_child([]() -> std::string {
        pass(two_sockets(), "", ::getpid());
        const auto passed = take_passed_sockets();
        return passed.at(0).name + " " + passed.at(1).name;
    });
    EXPECT_EQ(report, "unknown unknown");
}

TEST(TakePassedSockets, sockets_meant_for_another_process_are_refused) {
    const std::string report = in_child([]() -> std::string {
        pass(two_sockets(), "", 1);
        (void)take_passed_sockets();
        return "accepted";
    });
    EXPECT_TRUE(report.starts_with("78: LISTEN_PID=1 is not this process (")) << report;
}

TEST(TakePassedSockets, a_pid_that_is_no_number_is_told_apart) {
    for (const char* pid : {"abc", "", "12x", "-1"}) {
        const std::string report = in_child([&]() -> std::string {
            pass(two_sockets(), "", 1);
            ::setenv("LISTEN_PID", pid, 1);
            (void)take_passed_sockets();
            return "accepted";
        });
        EXPECT_TRUE(report.starts_with("78: LISTEN_PID=" + std::string{pid} + " is not a process id")) << report;
    }
}

TEST(TakePassedSockets, a_stray_pid_without_sockets_does_not_matter) {
    const std::string report = in_child([]() -> std::string {
        ::setenv("LISTEN_PID", "1", 1);
        return std::to_string(take_passed_sockets().size());
    });
    EXPECT_EQ(report, "0");
}

TEST(TakePassedSockets, fewer_names_than_sockets_are_refused) {
    const std::string report = in_child([]() -> std::string {
        pass(two_sockets(), "web", ::getpid());
        (void)take_passed_sockets();
        return "accepted";
    });
    EXPECT_TRUE(report.starts_with("78: LISTEN_FDNAMES=web does not name as many")) << report;
}

TEST(TakePassedSockets, a_count_that_is_no_number_is_refused) {
    for (const char* count : {"two", "0", "-1", "2x", "99999999999"}) {
        const std::string report = in_child([&]() -> std::string {
            pass(two_sockets(), "", ::getpid());
            ::setenv("LISTEN_FDS", count, 1);
            (void)take_passed_sockets();
            return "accepted";
        });
        EXPECT_TRUE(report.starts_with("78: LISTEN_FDS=")) << report;
    }
}

TEST(TakePassedSockets, variables_that_promise_what_is_not_open_are_refused) {
    const std::string report = in_child([]() -> std::string {
        pass(two_sockets(), "", ::getpid());
        ::setenv("LISTEN_FDS", "3", 1);
        ::close(5);
        note_passed_descriptors();
        (void)take_passed_sockets();
        return "accepted";
    });
    EXPECT_TRUE(report.starts_with("78: LISTEN_FDS=3 does not fit what was passed: descriptor 5 is not open"))
        << report;
}

TEST(TakePassedSockets, one_that_cannot_be_served_comes_with_its_flaw) {
    const std::string report = in_child([]() -> std::string {
        std::vector<UniqueFd> files;
        files.push_back(some_socket());
        files.emplace_back(check(::open("/dev/null", O_RDONLY), "open"));
        pass(std::move(files), "", ::getpid());
        const auto passed = take_passed_sockets();
        return passed.at(0).flaw + '\n' + passed.at(1).flaw;
    });
    EXPECT_TRUE(report.starts_with("is not listening")) << report;
    EXPECT_NE(report.find("\nis not a socket: "), std::string::npos) << report;
}

TEST(TakePassedSockets, a_stored_name_comes_back_as_it_went_whatever_is_in_the_path) {
    const std::string name = stored_name(parse_endpoint(R"(unix:///run/a\b"c'd\)"), std::nullopt);
    const std::string report = in_child([&]() -> std::string {
        pass(two_sockets(), name + ":" + name, ::getpid());
        return take_passed_sockets().at(1).name;
    });
    EXPECT_EQ(report, name);
}

}  // namespace
}  // namespace preforkd

#pragma once
// The service manager's end of what is said to it: sd_notify(3).
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <string>

#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"

namespace preforkd::testing {

/// systemd's end.
struct Manager {
    explicit Manager(const std::string& address_text)
        : socket{check(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")} {
        ::sockaddr_un address{};
        address.sun_family = AF_UNIX;
        address_text.copy(address.sun_path, sizeof address.sun_path - 1);
        if (address_text.front() == '@') address.sun_path[0] = '\0';
        const auto length = static_cast<::socklen_t>(offsetof(::sockaddr_un, sun_path) + address_text.size());
        check(::bind(socket.get(), reinterpret_cast<::sockaddr*>(&address), length), "bind " + address_text);
    }
    /// The next message; empty: there is none.
    [[nodiscard]] std::string receive() const {
        std::array<char, 4096> buffer{};
        const ssize_t n = ::recv(socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        return {buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0))};
    }
    /// The descriptor that comes with the next message; -1: none does.
    [[nodiscard]] UniqueFd receive_descriptor() const {
        std::array<char, 4096> buffer{};
        alignas(::cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> space{};
        ::iovec text{.iov_base = buffer.data(), .iov_len = buffer.size()};
        ::msghdr message{};
        message.msg_iov = &text;
        message.msg_iovlen = 1;
        message.msg_control = space.data();
        message.msg_controllen = space.size();
        ::recvmsg(socket.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        const ::cmsghdr* const header = CMSG_FIRSTHDR(&message);
        int fd = -1;
        if (header != nullptr) std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
        return UniqueFd{fd};
    }
    UniqueFd socket;
};

/// A test that says by variables what systemd would.
class Notify : public ::testing::Test {
protected:
    void SetUp() override { TearDown(); }
    void TearDown() override {
        for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "FDSTORE"}) ::unsetenv(name);
    }
    static std::string name() { return "@preforkd-notify-test-" + std::to_string(::getpid()); }
    static void set(const char* variable, const std::string& value) { ::setenv(variable, value.c_str(), 1); }
};

}  // namespace preforkd::testing

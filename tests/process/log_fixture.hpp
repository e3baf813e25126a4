#pragma once
// Readers for log lines: pipes, sockets, terminals, a journal; and a standard error that is put back afterwards.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "common/base/operator_error.hpp"
#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/log/log_output.hpp"

namespace preforkd::log_test {

struct Pair {
    UniqueFd near;  ///< what the log writes to
    UniqueFd far;   ///< what its reader has
};

inline Pair make_pipe() {
    std::array<int, 2> ends{};
    check(::pipe2(ends.data(), O_CLOEXEC), "pipe");
    check(::fcntl(ends[0], F_SETFL, O_NONBLOCK), "fcntl");
    return {UniqueFd{ends[1]}, UniqueFd{ends[0]}};
}

inline Pair make_sockets() {
    std::array<int, 2> ends{};
    check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), "socketpair");
    check(::fcntl(ends[0], F_SETFL, O_NONBLOCK), "fcntl");
    return {UniqueFd{ends[1]}, UniqueFd{ends[0]}};
}

inline constexpr auto no_terminals = "there are no pseudo-terminals here: /dev/pts is not mounted";

inline bool has_terminals() { return bool{UniqueFd{::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)}}; }

inline Pair make_terminal() {
    UniqueFd far{check(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK), "openpt")};
    check(::grantpt(far.get()), "grantpt");
    check(::unlockpt(far.get()), "unlockpt");
    UniqueFd near{check(::open(::ptsname(far.get()), O_RDWR | O_NOCTTY | O_CLOEXEC), "open pts")};
    ::termios raw{};
    check(::tcgetattr(near.get(), &raw), "tcgetattr");
    ::cfmakeraw(&raw);
    check(::tcsetattr(near.get(), TCSANOW, &raw), "tcsetattr");
    return {std::move(near), std::move(far)};
}

/// What can be read now.
inline std::string drain(int fd) {
    std::string all;
    std::array<char, 65536> buffer{};
    for (ssize_t n = 0; (n = ::read(fd, buffer.data(), buffer.size())) > 0;) {
        all.append(buffer.data(), static_cast<std::size_t>(n));
    }
    return all;
}

inline std::vector<std::string> lines_of(const std::string& text) {
    std::istringstream stream{text};
    std::vector<std::string> lines;
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

inline std::string content_of(const std::string& path) {
    std::ifstream file{path};
    return {std::istreambuf_iterator<char>{file}, {}};
}

inline std::size_t open_descriptors() {
    const auto all = std::filesystem::directory_iterator{"/proc/self/fd"};
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

/// Logs until the reader's queue is full and `more` lines have been lost; returns how many lines were logged.
inline std::uint64_t log_until_lost(std::uint64_t more) {
    const std::uint64_t before = dropped_log_lines();
    std::uint64_t logged = 0;
    for (; dropped_log_lines() < before + more; ++logged) log(LogLevel::Info, "filling", {{"n", logged}});
    return logged;
}

/// A datagram socket in the file system, as journald has one.
struct Journal {
    explicit Journal(const std::string& path)
        : socket{check(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")} {
        ::sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        check(::bind(socket.get(), reinterpret_cast<::sockaddr*>(&address), sizeof address), "bind " + path);
    }
    /// The next datagram; empty: there is none.
    [[nodiscard]] std::string receive() const {
        std::array<char, 65536> buffer{};
        const ssize_t n = ::recv(socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        return {buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0))};
    }
    UniqueFd socket;
};

class Log : public ::testing::Test {
protected:
    void SetUp() override {
        for (const char* each : environment) ::unsetenv(each);
        leave_terminal();
        saved_stderr_ = UniqueFd{check(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3), "dup stderr")};
        std::string pattern = ::testing::TempDir() + "log-XXXXXX";
        directory_ = check_directory(::mkdtemp(pattern.data()));
    }
    void TearDown() override {
        ::dup2(saved_stderr_.get(), STDERR_FILENO);
        for (const char* each : environment) ::unsetenv(each);
        set_log_worker(0);
        open_log({.file = "/dev/null"});
        log(LogLevel::Error, "the losses of this test are reported here");
        open_log({});
        std::filesystem::remove_all(directory_);
    }
    static std::string check_directory(const char* path) {
        if (path == nullptr) throw_errno("mkdtemp");
        return path;
    }
    static void use_as_stderr(const Pair& pair) { check(::dup2(pair.near.get(), STDERR_FILENO), "dup2"); }
    [[nodiscard]] std::string path(const char* name) const { return directory_ + "/" + name; }

private:
    static constexpr std::array environment{"JOURNAL_STREAM", "NO_COLOR", "TERM"};
    /// A test that is run by hand has a controlling terminal.
    static void leave_terminal() {
        const UniqueFd terminal{::open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC)};
        if (terminal) ::ioctl(terminal.get(), TIOCNOTTY);
    }

    UniqueFd saved_stderr_;
    std::string directory_;
};

}  // namespace preforkd::log_test

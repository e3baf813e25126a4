#pragma once
// Runs a piece of a test in a child: where it needs an environment, an identity or a namespace of its own.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <span>
#include <string>

#include "common/base/operator_error.hpp"
#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/log/log_output.hpp"
#include "common/process/spawn.hpp"

namespace preforkd::testing {

struct Pipe {
    UniqueFd reader{};
    UniqueFd writer{};
};

inline Pipe make_pipe() {
    std::array<int, 2> ends{};
    check(::pipe2(ends.data(), O_CLOEXEC), "pipe");
    // Out of the way of descriptors that a test puts at fixed numbers.
    Pipe pipe{.reader = UniqueFd{check(::fcntl(ends[0], F_DUPFD_CLOEXEC, 200), "dup")},
              .writer = UniqueFd{check(::fcntl(ends[1], F_DUPFD_CLOEXEC, 200), "dup")}};
    ::close(ends[0]);
    ::close(ends[1]);
    return pipe;
}

inline std::string read_to_end(int fd) {
    std::string text;
    std::array<char, 4096> chunk{};
    for (ssize_t size = 0; (size = ::read(fd, chunk.data(), chunk.size())) > 0;)
        text.append(chunk.data(), static_cast<std::size_t>(size));
    return text;
}

/// In a child that has put a pipe or a file in place of standard error: what an earlier test has opened is not the log.
inline void log_to_standard_error() { open_log({.format = LogFormat::Text}); }

/// What `body` returns, or `CODE: sentence` of the OperatorError it throws.  A test that gets `skip: reason` skips.
inline std::string in_child(const std::function<std::string()>& body) {
    Pipe pipe = make_pipe();
    const ChildProcess child = spawn([&] {
        pipe.reader = UniqueFd{};
        std::string report;
        try {
            report = body();
        } catch (const OperatorError& error) {
            report = std::to_string(static_cast<int>(error.code())) + ": " + error.what();
        } catch (const std::exception& error) { report = std::string{"exception: "} + error.what(); }
        return ::write(pipe.writer.get(), report.data(), report.size()) == static_cast<ssize_t>(report.size()) ? 0 : 1;
    });
    pipe.writer = UniqueFd{};
    std::string report = read_to_end(pipe.reader.get());
    pollfd ended{.fd = child.pidfd(), .events = POLLIN, .revents = 0};
    ::poll(&ended, 1, -1);
    const auto exit = child.try_reap();
    if (!exit || *exit != ExitReport{ExitReport::Kind::Exited, 0}) report += " (and the child died)";
    return report;
}

inline bool skipped(const std::string& report) { return report.starts_with("skip: "); }

/// In a child: root over a user namespace of its own, and whatever else `flags` ask for.  False if that is forbidden.
inline bool enter_namespace(int flags) { return ::unshare(CLONE_NEWUSER | flags) == 0; }

/// In a child that entered a mount namespace: gives the resolver other names.
inline bool replace_hosts(const std::filesystem::path& directory, const std::string& hosts) {
    const auto file = directory / "hosts";
    std::ofstream{file} << hosts;
    return ::mount(file.c_str(), "/etc/hosts", nullptr, MS_BIND, nullptr) == 0;
}

/// In a child, for the rest of its life.
inline void restrict_system_calls(std::span<sock_filter> program) {
    const sock_fprog filter{.len = static_cast<unsigned short>(program.size()), .filter = program.data()};
    check(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
    check(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), "seccomp");
}

/// A directory that ends with the test.
class TemporaryDirectory {
public:
    TemporaryDirectory() {
        std::string name = (std::filesystem::temp_directory_path() / "preforkd_test.XXXXXX").native();
        if (::mkdtemp(name.data()) == nullptr) throw_errno("mkdtemp");
        path_ = name;
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    ~TemporaryDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
    [[nodiscard]] std::string operator/(const char* name) const { return (path_ / name).native(); }

private:
    std::filesystem::path path_{};
};

}  // namespace preforkd::testing

#include "common/net/unix_path.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "child_report.hpp"
#include "common/base/sys_error.hpp"
#include "common/net/listener.hpp"

namespace {
/// What happens between bind(2) and whatever the code under test does next.
std::function<void()> after_bind;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
}  // namespace

extern "C" int bind(int fd, const sockaddr* address, socklen_t size) {
    const auto result = static_cast<int>(::syscall(SYS_bind, fd, address, size));
    if (result == 0 && after_bind) std::exchange(after_bind, nullptr)();
    return result;
}

namespace preforkd {
namespace {

using namespace testing;
namespace fs = std::filesystem;

UniqueFd unix_socket(int type) {
    return UniqueFd{check(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket")};
}

SocketAddress address_of_path(const std::string& path) {
    return resolve({.transport = Transport::Unix, .path = path}).at(0);
}

UniqueFd bound_socket(const std::string& path, int type) {
    UniqueFd fd = unix_socket(type);
    const SocketAddress address = address_of_path(path);
    check(::bind(fd.get(), address.data(), address.size()), "bind");
    return fd;
}

UniqueFd listening_socket(const std::string& path) {
    UniqueFd fd = bound_socket(path, SOCK_STREAM);
    check(::listen(fd.get(), 8), "listen");
    return fd;
}

bool can_connect(const std::string& path, int type = SOCK_STREAM) {
    const SocketAddress address = address_of_path(path);
    return ::connect(unix_socket(type).get(), address.data(), address.size()) == 0;
}

ListenSettings settings_for(const std::string& path, Transport transport = Transport::Unix) {
    return {.endpoint = {.transport = transport, .path = path}};
}

/// `CODE: sentence` of what bind_listeners() throws; empty if it binds.
std::string failure_of(const ListenSettings& settings) {
    try {
        (void)bind_listeners({settings}, std::nullopt);
        return {};
    } catch (const OperatorError& error) {
        return std::to_string(static_cast<int>(error.code())) + ": " + error.what();
    }
}

struct stat status_of(const std::string& path) {
    struct stat info {};
    check(::lstat(path.c_str(), &info), "lstat");
    return info;
}

unsigned mode_of(const std::string& path) { return status_of(path).st_mode & 07777U; }

TEST(UnixPath, a_stale_socket_is_replaced) {
    const TemporaryDirectory directory;
    const std::string path = directory / "s";
    (void)listening_socket(path);
    ASSERT_EQ(occupant_of(address_of_path(path)), PathOccupant::StaleSocket);

    const auto listeners = bind_listeners({settings_for(path)}, std::nullopt);
    EXPECT_TRUE(can_connect(path));
    EXPECT_EQ(listeners.at(0).local, listeners.at(0).settings.endpoint);
}

TEST(UnixPath, a_stale_datagram_socket_is_replaced) {
    const TemporaryDirectory directory;
    const std::string path = directory / "s";
    (void)bound_socket(path, SOCK_DGRAM);
    const auto listeners = bind_listeners({settings_for(path, Transport::UnixDatagram)}, std::nullopt);
    EXPECT_TRUE(can_connect(path, SOCK_DGRAM));
}

TEST(UnixPath, a_live_socket_is_refused_at_once_if_it_is_our_own) {
    const TemporaryDirectory directory;
    const std::string path = directory / "s";
    const UniqueFd server = listening_socket(path);
    const std::string failure = failure_of(settings_for(path));
    EXPECT_TRUE(failure.starts_with("71: --listen unix://" + path +
                                    ": Address already in use by another listener of this process"))
        << failure;
    EXPECT_TRUE(can_connect(path));
}

TEST(UnixPath, asking_whether_a_socket_lives_leaves_no_connection_there) {
    const TemporaryDirectory directory;
    const std::string path = directory / "s";
    const UniqueFd server = listening_socket(path);
    EXPECT_EQ(occupant_of(address_of_path(path)), PathOccupant::LiveSocket);
    EXPECT_EQ(::accept4(server.get(), nullptr, nullptr, SOCK_CLOEXEC), -1);
    EXPECT_EQ(errno, EAGAIN);
}

TEST(UnixPath, a_socket_that_does_not_listen_yet_lives) {
    const TemporaryDirectory directory;
    for (const int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}) {
        const std::string path = directory / std::to_string(type).c_str();
        const UniqueFd server = bound_socket(path, type);
        EXPECT_EQ(occupant_of(address_of_path(path)), PathOccupant::LiveSocket) << type;
    }
}

TEST(UnixPath, what_is_no_socket_is_refused_and_never_deleted) {
    const TemporaryDirectory directory;
    const std::string file = directory / "file";
    std::ofstream{file} << "precious";
    fs::create_directory(directory / "directory");
    fs::create_symlink(directory / "nowhere", directory / "link");
    for (const char* name : {"file", "directory", "link"}) {
        const std::string failure = failure_of(settings_for(directory / name));
        EXPECT_TRUE(failure.starts_with("78: --listen unix://" + (directory / name) + ": a file that is not a socket"))
            << failure;
        EXPECT_TRUE(fs::exists(fs::symlink_status(directory / name)));
    }
    EXPECT_EQ(fs::file_size(file), 8U);
}

TEST(UnixPath, a_missing_directory_is_named) {
    const TemporaryDirectory directory;
    const std::string failure = failure_of(settings_for(directory / "missing/s"));
    EXPECT_EQ(failure, "78: --listen unix://" + (directory / "missing/s") +
                           ": No such file or directory: create the directory " + (directory / "missing") +
                           " first (systemd: RuntimeDirectory=)");
}

TEST(UnixPath, a_directory_that_may_not_be_written_is_a_matter_of_permission) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become somebody else";
    const TemporaryDirectory directory;
    fs::permissions(directory.path(), fs::perms{0755});
    const std::string report = in_child([&]() -> std::string {
        check(::setresuid(65534, 65534, 65534), "setresuid");
        return failure_of(settings_for(directory / "s"));
    });
    EXPECT_TRUE(report.starts_with("77: ")) << report;
    EXPECT_NE(report.find(directory.path().native()), std::string::npos) << report;
}

TEST(UnixPath, a_socket_of_another_user_that_may_not_be_asked_is_left_alone) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become somebody else";
    const TemporaryDirectory directory;
    fs::permissions(directory.path(), fs::perms{0777});
    const std::string path = directory / "s";
    const UniqueFd server = listening_socket(path);
    check(::chmod(path.c_str(), 0600), "chmod");
    const std::string report = in_child([&]() -> std::string {
        check(::setresuid(65534, 65534, 65534), "setresuid");
        return failure_of(settings_for(path));
    });
    EXPECT_TRUE(report.starts_with("77: ")) << report;
    EXPECT_TRUE(can_connect(path));
}

TEST(UnixPath, the_mode_is_what_was_asked_whatever_the_umask) {
    const TemporaryDirectory directory;
    const mode_t usual = ::umask(027);
    ListenSettings asked = settings_for(directory / "asked");
    asked.mode = 0666;
    const auto listeners = bind_listeners({asked, settings_for(directory / "unasked")}, std::nullopt);
    ::umask(usual);
    EXPECT_EQ(mode_of(directory / "asked"), 0666U);
    EXPECT_EQ(mode_of(directory / "unasked"), 0750U);
}

// bind_unix_path() relies on it: a file that is closed from its first moment needs no umask(), which is the process's.
TEST(UnixPath, linux_makes_the_file_with_the_mode_of_the_socket) {
    const TemporaryDirectory directory;
    const UniqueFd fd = unix_socket(SOCK_DGRAM);
    check(::fchmod(fd.get(), 0), "fchmod");
    const SocketAddress address = address_of_path(directory / "s");
    check(::bind(fd.get(), address.data(), address.size()), "bind");
    EXPECT_EQ(mode_of(directory / "s"), 0U);
}

TEST(UnixPath, owner_and_group_are_what_was_asked) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to give files away";
    const TemporaryDirectory directory;
    ListenSettings settings = settings_for(directory / "s");
    settings.user = "daemon";
    settings.group = "65533";
    const auto listeners = bind_listeners({settings}, std::nullopt);
    EXPECT_EQ(status_of(directory / "s").st_uid, 1U);
    EXPECT_EQ(status_of(directory / "s").st_gid, 65533U);
    remove_socket_file(listeners.at(0));
    EXPECT_FALSE(fs::exists(directory / "s"));
}

TEST(UnixPath, an_owner_that_may_not_be_set_leaves_no_file) {
    const TemporaryDirectory directory;
    fs::permissions(directory.path(), fs::perms{0777});
    const std::string report = in_child([&]() -> std::string {
        if (::geteuid() == 0) check(::setresuid(65534, 65534, 65534), "setresuid");
        ListenSettings settings = settings_for(directory / "s");
        settings.user = "root";
        return failure_of(settings);
    });
    EXPECT_TRUE(report.starts_with("77: --listen unix://")) << report;
    EXPECT_FALSE(fs::exists(directory / "s"));
}

TEST(UnixPath, what_has_taken_the_place_of_the_new_socket_keeps_its_mode_and_stays) {
    const TemporaryDirectory directory;
    const std::string path = directory / "s";
    std::ofstream{directory / "precious"} << "precious";
    fs::permissions(directory / "precious", fs::perms{0600});
    ListenSettings settings = settings_for(path);
    settings.mode = 0666;
    after_bind = [&] { fs::rename(directory / "precious", path); };
    const std::string failure = failure_of(settings);
    EXPECT_TRUE(failure.starts_with("71: --listen unix://" + path + ": a file that is not a socket has replaced"))
        << failure;
    EXPECT_EQ(fs::file_size(path), 8U);
    EXPECT_EQ(mode_of(path), 0600U);

    const struct stat info = status_of(path);
    EXPECT_FALSE(set_owner_and_mode(settings, {.device = info.st_dev, .inode = info.st_ino}));
    EXPECT_EQ(mode_of(path), 0600U);
}

TEST(UnixPath, an_unknown_owner_is_named) {
    const TemporaryDirectory directory;
    ListenSettings settings = settings_for(directory / "s");
    settings.user = "no such user";
    EXPECT_NE(failure_of(settings).find(": user=no such user: no such user"), std::string::npos);
    settings.user.clear();
    settings.group = "-1";
    EXPECT_NE(failure_of(settings).find(": group=-1: no such group"), std::string::npos);
    settings.group = "4294967295";  // (gid_t)-1 would mean: leave it
    EXPECT_TRUE(failure_of(settings).starts_with("78: "));
    EXPECT_FALSE(fs::exists(directory / "s"));
}

TEST(UnixPath, only_our_own_file_is_removed) {
    const TemporaryDirectory directory;
    const std::string path = directory / "s";
    auto listeners = bind_listeners({settings_for(path)}, std::nullopt);
    fs::rename(path, directory / "elsewhere");
    const UniqueFd successor = listening_socket(path);
    remove_socket_file(listeners.at(0));
    EXPECT_TRUE(can_connect(path));

    fs::rename(directory / "elsewhere", path);
    listeners.at(0).inherited = true;
    remove_socket_file(listeners.at(0));
    EXPECT_TRUE(fs::exists(path));
    listeners.at(0).inherited = false;
    remove_socket_file(listeners.at(0));
    EXPECT_FALSE(fs::exists(path));
}

/// Binds `path` once `start` ends, says how it went, and holds what it has until `stop` ends.
int race_for(const std::string& path, int start, int verdict, int stop) {
    (void)read_to_end(start);
    std::vector<Listener> listeners;
    char outcome = '+';
    try {
        listeners = bind_listeners({settings_for(path)}, std::nullopt);
    } catch (const OperatorError& error) { outcome = error.code() == ExitCode::System ? '-' : '?'; }
    check(static_cast<int>(::write(verdict, &outcome, 1)), "write");
    (void)read_to_end(stop);
    return 0;
}

TEST(UnixPath, of_daemons_that_start_at_once_over_a_stale_socket_exactly_one_gets_it) {
    for (int round = 0; round < 3; ++round) {
        const TemporaryDirectory directory;
        const std::string path = directory / "s";
        (void)listening_socket(path);
        Pipe start = make_pipe(), verdict = make_pipe(), stop = make_pipe();
        std::vector<ChildProcess> racers;
        for (int each = 0; each < 6; ++each)
            racers.push_back(spawn([&] {
                start.writer = UniqueFd{};
                stop.writer = UniqueFd{};
                return race_for(path, start.reader.get(), verdict.writer.get(), stop.reader.get());
            }));
        verdict.writer = UniqueFd{};
        start.writer = UniqueFd{};
        std::string verdicts(racers.size(), ' ');
        for (char& each : verdicts) ASSERT_EQ(::read(verdict.reader.get(), &each, 1), 1);
        EXPECT_EQ(std::ranges::count(verdicts, '+'), 1) << verdicts;
        EXPECT_EQ(std::ranges::count(verdicts, '-'), 5) << verdicts;
        EXPECT_TRUE(can_connect(path));
        stop.writer = UniqueFd{};
        for (const ChildProcess& each : racers) {
            siginfo_t info{};
            EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(each.pid()), &info, WEXITED), 0);
        }
    }
}

/// Waits until `pid` waits for something.
void await_sleep(pid_t pid) {
    char state = 'R';
    while (state != 'S') {
        std::ifstream file{"/proc/" + std::to_string(pid) + "/stat"};
        std::string number, name;
        file >> number >> name >> state;
        ::sched_yield();
    }
}

TEST(UnixPath, while_one_daemon_replaces_a_stale_socket_another_waits_and_then_sees_a_live_one) {
    const TemporaryDirectory directory;
    const std::string path = directory / "s";
    (void)listening_socket(path);
    const UniqueFd lock{check(::open(directory.path().c_str(), O_RDONLY | O_CLOEXEC), "open")};
    check(::flock(lock.get(), LOCK_EX), "flock");
    Pipe verdict = make_pipe(), stop = make_pipe();
    const UniqueFd at_once{check(::open("/dev/null", O_RDONLY | O_CLOEXEC), "open")};
    const ChildProcess late = spawn([&] {
        stop.writer = UniqueFd{};
        return race_for(path, at_once.get(), verdict.writer.get(), stop.reader.get());
    });

    await_sleep(late.pid());
    std::filesystem::remove(path);
    const UniqueFd server = listening_socket(path);
    check(::flock(lock.get(), LOCK_UN), "unlock");
    char outcome{};
    EXPECT_EQ(::read(verdict.reader.get(), &outcome, 1), 1);
    EXPECT_EQ(outcome, '-');
    EXPECT_TRUE(can_connect(path));
    stop.writer = UniqueFd{};
    siginfo_t info{};
    EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(late.pid()), &info, WEXITED), 0);
}

}  // namespace
}  // namespace preforkd

// Code that has taken its worker over: each word of a client's is something that it does to its master, its siblings
// and what it shares with them. What must be impossible is answered with `denied`, or with what was possible all the
// same.
#include <preforkd/preforkd.hpp>

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace fs = std::filesystem;

std::vector<int> descriptors() {
    std::vector<int> found;
    for (const auto& entry : fs::directory_iterator{"/proc/self/fd"})
        if (const int fd = std::stoi(entry.path().filename().string()); fd > 0) found.push_back(fd);
    return found;
}

int option_of(int fd, int option) {
    int value = 0;
    socklen_t size = sizeof value;
    return ::getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

/// What it writes there are lines of its own: test_log_writer.py.
bool leads_to_the_log(const struct stat& pipe) {
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO})
        if (struct stat info{}; ::fstat(fd, &info) == 0 && info.st_ino == pipe.st_ino) return true;
    return false;
}

/// What leads to the master: the pipe that reports travel on, and the socket that orders come by.
std::vector<int> ways_to_the_master() {
    std::vector<int> found;
    for (const int fd : descriptors()) {
        struct stat info {};
        const bool is_pipe = ::fstat(fd, &info) == 0 && S_ISFIFO(info.st_mode) && !leads_to_the_log(info);
        if (!is_pipe && option_of(fd, SO_TYPE) != SOCK_SEQPACKET) continue;
        ::fcntl(fd, F_SETFL, O_NONBLOCK);
        found.push_back(fd);
    }
    return found;
}

/// A report is its kind, a byte that is not used, the length of its text in two, and the text.
std::string report(char kind, std::string_view text = "", std::size_t claimed_bytes = 0) {
    const std::size_t size = claimed_bytes != 0 ? claimed_bytes : text.size();
    return std::string{kind, '\0', static_cast<char>(size & 0xff), static_cast<char>(size >> 8)} + std::string{text};
}

void say(const std::string& bytes, int times = 1) {
    for (const int fd : ways_to_the_master())
        for (int each = 0; each < times; ++each) (void)!::write(fd, bytes.data(), bytes.size());
}

void say_every_kind() {
    for (int kind = 255; kind >= 0; --kind) say(report(static_cast<char>(kind)));
}

void say_that_it_retires() { say(report('\2')); }

void say_pauses() { say(report('\1'), 100'000); }

void say_long_things() {
    std::string nested = "_Z1fIi";  // each substitution doubles what a demangler makes of it
    for (int level = 0; level < 100; ++level) nested += "S_IS_S_E";
    say(report('\3', nested));
    say(report('\3', "short", 1024));
    for (const std::size_t size : {1025, 4096, 65'535}) say(report('\3', std::string(size, '\x1b')));
}

/// A TCP connection that whoever closes it last has to wait for.
int lingering_socket() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    ::bind(listener, reinterpret_cast<sockaddr*>(&address), size);
    ::listen(listener, 1);
    ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    ::connect(fd, reinterpret_cast<const sockaddr*>(&address), size);
    const linger wait{.l_onoff = 1, .l_linger = 20};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &wait, sizeof wait);
    const std::string much(1 << 16, 'x');
    while (::send(fd, much.data(), much.size(), MSG_DONTWAIT) > 0) {}
    return fd;
}

void pass_descriptors() {
    const int lingering = lingering_socket();
    for (const int fd : descriptors()) {
        if (option_of(fd, SO_TYPE) != SOCK_SEQPACKET) continue;
        for (int times = 0; times < 100; ++times) {
            char kind = '\x01';
            iovec part{&kind, 1};
            alignas(cmsghdr) std::array<char, CMSG_SPACE(2 * sizeof(int))> control{};
            msghdr message{};
            message.msg_iov = &part;
            message.msg_iovlen = 1;
            message.msg_control = control.data();
            message.msg_controllen = control.size();
            cmsghdr* const header = CMSG_FIRSTHDR(&message);
            header->cmsg_level = SOL_SOCKET;
            header->cmsg_type = SCM_RIGHTS;
            header->cmsg_len = CMSG_LEN(2 * sizeof(int));
            const std::array both{lingering, lingering};
            std::memcpy(CMSG_DATA(header), both.data(), sizeof both);
            (void)!::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        }
    }
}

/// Overwrites the memory that it shares with others, and what a mapping of it can be made to reach.
void scribble() {
    std::ifstream maps{"/proc/self/maps"};
    std::vector<std::pair<char*, std::size_t>> shared;
    for (std::string line; std::getline(maps, line);) {
        unsigned long begin = 0;
        unsigned long end = 0;
        char rights[5] = "";
        if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, rights) == 3 && std::strcmp(rights, "rw-s") == 0)
            shared.emplace_back(reinterpret_cast<char*>(begin), end - begin);
    }
    for (const auto& [begin, size] : shared) {
        std::memset(begin, 0xff, size);
        void* const grown = ::mremap(begin, 0, 16 * size, MREMAP_MAYMOVE);
        if (grown != MAP_FAILED) std::memset(grown, 0xff, size);
    }
}

/// Its master, and its siblings.
std::vector<pid_t> others() {
    std::vector<pid_t> found{::getppid()};
    std::ifstream children{"/proc/" + std::to_string(::getppid()) + "/task/" + std::to_string(::getppid()) +
                           "/children"};
    for (pid_t pid = 0; children >> pid;)
        if (pid != ::getpid()) found.push_back(pid);
    return found;
}

std::string look_into_others() {
    for (const pid_t pid : others()) {
        const std::string path = "/proc/" + std::to_string(pid);
        for (const char* file : {"/mem", "/environ", "/maps", "/auxv", "/stack", "/fd/1", "/fdinfo/0"})
            if (const int fd = ::open((path + file).c_str(), O_RDONLY | O_NONBLOCK); fd >= 0) {
                char byte = 0;
                if (::pread(fd, &byte, 1, 0) > 0) return path + file;
                ::close(fd);
            }
        if (::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) == 0) return "ptrace";
        char byte = 0;
        const iovec here{&byte, 1};
        const iovec there{reinterpret_cast<void*>(&environ), 1};
        if (::process_vm_readv(pid, &here, 1, &there, 1, 0) > 0) return "process_vm_readv";
        if (::process_vm_writev(pid, &here, 1, &there, 1, 0) > 0) return "process_vm_writev";
        if (::syscall(SYS_kcmp, pid, ::getpid(), 0, 1, 1) >= 0) return "kcmp";
        const int handle = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
        for (int fd = 0; fd < 32; ++fd)
            if (::syscall(SYS_pidfd_getfd, handle, fd, 0) >= 0) return "pidfd_getfd";
        ::close(handle);
    }
    return "denied";
}

/// Signals and limits. Those of its siblings it can have its way with: they are the same user.
std::string signal_master() {
    const pid_t master = ::getppid();
    for (int signo = 1; signo <= SIGRTMAX; ++signo) {
        if (::kill(master, signo) == 0 || ::syscall(SYS_tgkill, master, master, signo) == 0) return "kill";
        if (::killpg(::getpgid(master), signo) == 0) return "killpg";
    }
    const rlimit none{};
    if (::prlimit(master, RLIMIT_NOFILE, &none, nullptr) == 0) return "prlimit";
    for (const int fd : descriptors()) {
        ::fcntl(fd, F_SETOWN, master);
        ::fcntl(fd, F_SETSIG, SIGKILL);
        ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_ASYNC);
    }
    return "denied";
}

/// More than the user may, on every way that there is to it.
std::string gain_privileges() {
    if (::setuid(0) == 0 || ::setgid(0) == 0 || ::setgroups(0, nullptr) == 0) return "identity";
    if (::open("/dev/tty", O_RDWR) >= 0) return "a terminal";
    if (::setpriority(PRIO_PROCESS, 0, -20) == 0) return "priority";
    if (::syscall(SYS_mount, "none", "/mnt", "tmpfs", 0, nullptr) == 0) return "mount";
    if (::chroot("/") == 0) return "chroot";
    for (const int fd : descriptors()) {
        char byte = ' ';
        if (::ioctl(fd, TIOCSTI, &byte) == 0) return "TIOCSTI";
    }
    return "denied";
}

/// Children of its own, of which the master becomes the parent: many that are dead, and some that do not want to be.
void leave_orphans() {
    for (int times = 0; times < 20; ++times)
        if (::fork() == 0) {
            if (times < 5) {
                ::setsid();
                ::prctl(PR_SET_NAME, "orphan");  // no worker, to those who count them
                std::signal(SIGTERM, SIG_IGN);
                for (const int fd : descriptors()) ::close(fd);
                ::alarm(30);
                for (;;) ::pause();
            }
            for (int grandchildren = 0; grandchildren < 20; ++grandchildren)
                if (::fork() == 0) ::_exit(7);
            ::_exit(0);
        }
}

void use_up_descriptors() {
    const std::vector<int> ways = ways_to_the_master();
    while (::dup(STDIN_FILENO) >= 0) {}
    for (const int fd : ways) (void)!::write(fd, "\x7f", 1);
}

/// Whatever it holds that is a file, which may be the log.
void empty_files() {
    constexpr std::string_view forged = "{\"message\":\"forged\"}\n";
    for (const int fd : descriptors()) {
        struct stat info {};
        if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) continue;
        (void)!::ftruncate(fd, 0);
        (void)!::pwrite(fd, forged.data(), forged.size(), 0);
        if (const int again = ::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDWR | O_TRUNC); again >= 0)
            ::close(again);
    }
}

void lock_files() {
    for (const int fd : descriptors()) {
        ::flock(fd, LOCK_EX | LOCK_NB);
        struct flock whole {};
        whole.l_type = F_WRLCK;
        ::fcntl(fd, F_SETLK, &whole);
        ::fcntl(fd, F_SETLEASE, F_WRLCK);
    }
}

/// What root's preforkctl may ask, on the socket that it asks on.
std::string ask_the_master() {
    const char* const path = std::getenv("TAKEN_OVER_CONTROL");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path != nullptr ? path : "", sizeof address.sun_path - 1);
    for (int times = 0; times < 100; ++times) {
        const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const timeval patience{.tv_sec = 2, .tv_usec = 0};
        ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
            std::string answer(4096, '\0');
            (void)!::write(fd, "stop\n", 5);
            const ssize_t size = ::read(fd, answer.data(), answer.size());
            answer.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
            if (answer.find("\"ok\":true") != answer.npos) return "obeyed";
        }
        ::close(fd);
    }
    return "denied";
}

void overflow_the_stack() {
    std::vector<char> unused(1);
    volatile char frame[4096];
    frame[0] = unused[0];
    overflow_the_stack();
    frame[1] = frame[0];
}

/// What it does, and what it says of it.
std::map<std::string, std::function<std::string()>, std::less<>> words() {
    const auto quietly = [](void (*deed)()) {
        return [deed] {
            deed();
            return std::string{"done"};
        };
    };
    return {{"say every kind", quietly(say_every_kind)},
            {"say that it retires", quietly(say_that_it_retires)},
            {"say pauses", quietly(say_pauses)},
            {"say long things", quietly(say_long_things)},
            {"pass descriptors", quietly(pass_descriptors)},
            {"scribble", quietly(scribble)},
            {"look into others", look_into_others},
            {"signal the master", signal_master},
            {"gain privileges", gain_privileges},
            {"empty files", quietly(empty_files)},
            {"leave orphans", quietly(leave_orphans)},
            {"use up descriptors", quietly(use_up_descriptors)},
            {"lock files", quietly(lock_files)},
            {"ask the master", ask_the_master},
            {"overflow the stack", quietly(overflow_the_stack)},
            {"stop", quietly([] { std::raise(SIGSTOP); })},
            {"abort", quietly([] { std::abort(); })}};
}

}  // namespace

struct TakenOver : preforkd::BlockingHandler {
    void serve(preforkd::BlockingConnection& client) override {
        std::string word;
        while (getline(client.stream(), word)) {
            client.stream() << word << ' ' << ::getpid() << std::endl;
            if (word == "words")
                for (const auto& [name, deed] : deeds_) client.stream() << name << '\n';
            if (const auto deed = deeds_.find(word); deed != deeds_.end())
                client.stream() << deed->second() << std::endl;
        }
    }

private:
    const std::map<std::string, std::function<std::string()>, std::less<>> deeds_ = words();
};
PREFORKD_HANDLER(TakenOver);

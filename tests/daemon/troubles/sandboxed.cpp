// Tries, on a client's word, what a sandbox may deny, and tells the error; `ok` where there was none.
#include <preforkd/preforkd.hpp>

#include <fcntl.h>
#include <linux/keyctl.h>
#include <netdb.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>

std::string outcome(long result) { return result == -1 ? ::strerrorname_np(errno) : "ok"; }

/// How a child ends that does nothing.
long child_of(long result) {
    if (result == 0) ::_exit(0);
    if (result > 0) ::waitpid(static_cast<pid_t>(result), nullptr, 0);
    return result;
}

/// Also without a name the library asks the kernel for its addresses, reads gai.conf, and connects to sort what it
/// found.
long resolved(const char* name) {
    addrinfo* found = nullptr;
    addrinfo hints{};
    hints.ai_flags = AI_ADDRCONFIG;
    const int error = ::getaddrinfo(name, "80", &hints, &found);
    if (found != nullptr) ::freeaddrinfo(found);
    return error == 0 ? 0L : -1L;
}

const std::map<std::string, std::function<long()>> attempts{
    {"ptrace", [] { return ::ptrace(PTRACE_SEIZE, ::getppid(), nullptr, nullptr); }},
    {"look into memory", [] { return ::syscall(SYS_process_vm_readv, ::getpid(), nullptr, 0, nullptr, 0, 0); }},
    {"keyring", [] { return ::syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1); }},
    {"bpf", [] { return ::syscall(SYS_bpf, -1, nullptr, 0); }},
    {"mount", [] { return ::syscall(SYS_mount, nullptr, "/", nullptr, 0, nullptr); }},
    {"type into a terminal", [] { return ::ioctl(-1, TIOCSTI, "x"); }},
    {"type with a high bit",
     [] { return ::syscall(SYS_ioctl, -1, (1UL << 32) | static_cast<unsigned long>(TIOCSTI), "x"); }},
    {"user namespace", [] { return ::syscall(SYS_unshare, CLONE_NEWUSER); }},
    {"child in a user namespace",
     [] { return child_of(::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, nullptr)); }},
    {"clone3", [] { return ::syscall(SYS_clone3, nullptr, 0); }},
    {"enter any namespace", [] { return ::syscall(SYS_setns, -1, 0); }},
    {"enter a network", [] { return ::syscall(SYS_setns, -1, CLONE_NEWNET); }},
    {"fork", [] { return child_of(::fork()); }},
    {"run", [] { return ::system("exit 3") == 3 << 8 ? 0L : (errno = ENOEXEC, -1L); }},
    {"thread", [] { return std::thread{[] {}}.join(), 0L; }},
    {"socket", [] { return static_cast<long>(::socket(AF_INET, SOCK_STREAM, 0)); }},
    {"resolve", [] { return resolved(nullptr); }},
    {"resolve localhost", [] { return resolved("localhost"); }},
    {"signal the master", [] { return static_cast<long>(::kill(::getppid(), 0)); }},
    // Standard error is the log's pipe, where the log is a file.
    {"take out of the log",
     [] { return static_cast<long>(::open("/proc/self/fd/2", O_RDONLY | O_NONBLOCK | O_CLOEXEC)); }},
    {"make the log readable", [] { return static_cast<long>(::fchmod(STDERR_FILENO, 0600)); }},
    {"become more", [] { return ::syscall(SYS_setuid, 0); }},
};

std::string try_it(const std::string& word) {
    errno = 0;
    if (word.starts_with("read ")) return outcome(::open(word.c_str() + 5, O_RDONLY | O_CLOEXEC));
    if (word.starts_with("write ")) return outcome(::open(word.c_str() + 6, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    if (word.starts_with("copy ")) {
        std::istringstream words{word.substr(5)};
        std::string from;
        std::string to;
        words >> from >> to;
        std::error_code error;
        std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing, error);
        return error ? ::strerrorname_np(error.value()) : "ok";
    }
    if (word.starts_with("chmod ")) {
        const int fd = ::open(word.c_str() + 11, O_RDONLY | O_CLOEXEC);
        return fd == -1 ? outcome(-1)
                        : outcome(::fchmod(fd, static_cast<mode_t>(std::stoi(word.substr(6, 4), nullptr, 8))));
    }
    if (word.starts_with("shell ")) return std::to_string(WEXITSTATUS(::system(word.c_str() + 6)));
    const auto found = attempts.find(word);
    return found == attempts.end() ? "unknown" : outcome(found->second());
}

struct Sandboxed : preforkd::BlockingHandler {
    void serve(preforkd::BlockingConnection& client) override {
        std::string word;
        while (std::getline(client.stream(), word)) client.stream() << try_it(word) << std::endl;
    }
};
PREFORKD_HANDLER(Sandboxed);

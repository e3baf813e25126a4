#include "common/process/denied_calls.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <new>
#include <string_view>

#include "common/base/sys_error.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace {

constexpr int sent_by_filter = 1;  // SYS_SECCOMP, which glibc 2.36 does not define.  Source: sigaction(2)
constexpr unsigned most_files_named = 20;

/// What has been said; shared with forked children, or each would say it again.
struct Said {
    std::array<std::atomic<bool>, 1024> calls;
    std::atomic<unsigned> files;
};
Said* said = nullptr;
const std::vector<std::string>* call_names = nullptr;
bool writes_files = false;
struct sigaction before {};  ///< what SIGSYS meant, and means where no filter has sent it

/// The registers of the call, which the kernel has not made.  Source: syscall(2)
class Call {
public:
    explicit Call(void* context) noexcept : machine_{static_cast<ucontext_t*>(context)->uc_mcontext} {}

    [[nodiscard]] long argument(std::size_t index) const noexcept {
#if defined(__x86_64__)
        constexpr std::array registers{REG_RDI, REG_RSI, REG_RDX, REG_R10};
        return machine_.gregs[registers.at(index)];
#elif defined(__aarch64__)
        return static_cast<long>(machine_.regs[index]);
#else
        return static_cast<long>(index * 0);  // not reached: has_registers
#endif
    }
    void return_value(long value) const noexcept {
#if defined(__x86_64__)
        machine_.gregs[REG_RAX] = value;
#elif defined(__aarch64__)
        machine_.regs[0] = static_cast<unsigned long long>(value);
#else
        (void)value;
#endif
    }
#if defined(__x86_64__) || defined(__aarch64__)
    static constexpr bool has_registers = true;
#else
    static constexpr bool has_registers = false;  // unknown here
#endif

private:
    mcontext_t& machine_;
};

struct Opening {
    int directory;
    const char* path;
    std::uint64_t flags;
    std::uint64_t mode;
};

const char* path_at(long address) noexcept { return std::bit_cast<const char*>(address); }

/// Whether `call` opens a file.
bool is_opening(int number, const Call& call, Opening& opening) noexcept {
    const auto bits = [&call](std::size_t index) {
        return static_cast<std::uint64_t>(call.argument(index)) & 0xffffffff;
    };
    if (number == SYS_openat) {
        opening = {static_cast<int>(call.argument(0)), path_at(call.argument(1)), bits(2), bits(3)};
        return true;
    }
#ifdef SYS_open
    if (number == SYS_open) {
        opening = {AT_FDCWD, path_at(call.argument(0)), bits(1), bits(2)};
        return true;
    }
#endif
    return false;
}

/// Access by mode is allowed where Landlock alone has refused: it does not know access(2).
void name_refused_file(const Opening& opening) noexcept {
    const bool writes = (opening.flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) != 0;
    const bool is_there = ::faccessat(opening.directory, opening.path, F_OK, 0) == 0;
    if (is_there && ::faccessat(opening.directory, opening.path, writes ? W_OK : R_OK, 0) == -1) return;
    if (said->files.fetch_add(1, std::memory_order_relaxed) >= most_files_named) return;
    log(LogLevel::Warning, "--sandbox strict denies this file; {option} allows it: {path}",
        {{"option", writes ? "--allow-write" : "--allow-read"}, {"path", opening.path}});
}

long open_instead(const Opening& opening) noexcept {
    constexpr std::uint64_t known = O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC |
                                    O_ASYNC | O_DIRECT | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH |
                                    O_TMPFILE;  // with O_DIRECTORY
    // openat2(2) refuses what openat(2) ignores.
    const bool creates = (opening.flags & O_CREAT) != 0 || (opening.flags & O_TMPFILE) == O_TMPFILE;
    open_how how{.flags = opening.flags & known, .mode = creates ? opening.mode & 07777 : 0, .resolve = 0};
    if ((how.flags & O_PATH) != 0) how.flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    const long fd = ::syscall(SYS_openat2, opening.directory, opening.path, &how, sizeof how);
    if (fd != -1) return fd;
    const int error = errno;
    if (error == EACCES) name_refused_file(opening);
    return -error;
}

void name_denied_call(int number) noexcept {
    const auto index = static_cast<std::size_t>(number);
    if (index < said->calls.size() && said->calls[index].exchange(true, std::memory_order_relaxed)) return;
    const std::string_view name = index < call_names->size() ? std::string_view{(*call_names)[index]} : "unknown";
    log(LogLevel::Warning, "--sandbox strict denies the system call {call} ({number}): {remedy}",
        {{"call", name},
         {"number", std::int64_t{number}},
         {"remedy", !writes_files && sandbox::is_for_writing(name)
                        ? "name what the handler writes with --allow-write, or use --sandbox auto"
                        : "change the handler, or use --sandbox auto"}});
}

void on_denied_call(int signo, siginfo_t* info, void* context) {
    if (info->si_code != sent_by_filter) {
        if ((before.sa_flags & SA_SIGINFO) != 0) return before.sa_sigaction(signo, info, context);
        ::signal(SIGSYS, SIG_DFL);
        ::raise(SIGSYS);
        return;
    }
    const int saved_errno = errno;
    const Call call{context};
    if (Opening opening{}; Call::has_registers && is_opening(info->si_syscall, call, opening)) {
        call.return_value(open_instead(opening));
    } else {
        call.return_value(-EPERM);
        name_denied_call(info->si_syscall);
    }
    errno = saved_errno;
}

}  // namespace

void answer_denied_calls(const std::vector<std::string>& names, const StrictNeeds& needs) {
    void* const shared = ::mmap(nullptr, sizeof(Said), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) throw_errno("make a sandbox");
    said = new (shared) Said{};
    call_names = &names;
    writes_files = needs.writes_files;
    struct sigaction action {};
    action.sa_sigaction = on_denied_call;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;  // what the log needs may be denied, too
    ::sigemptyset(&action.sa_mask);
    check(::sigaction(SIGSYS, &action, &before), "handle SIGSYS");
}

}  // namespace preforkd

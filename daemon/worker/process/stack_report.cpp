#include "daemon/worker/process/stack_report.hpp"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <unistd.h>
#include <unwind.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <new>
#include <string_view>
#include <utility>

#include "common/base/sys_error.hpp"
#include "common/log/log_line.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace {

constexpr std::size_t most_frames = 64;
constexpr std::size_t longest_symbol_bytes = 512;
constexpr unsigned longest_telling_seconds = 5;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool has_signal_stacks = true;  // the sanitizer's own, for each thread
#else
constexpr bool has_signal_stacks = false;
#endif

// What the signal handler works on: plain values, written before it is installed.
struct {
    int worker = 0;
    pid_t process = 0;
    std::array<char, 512> program{};  ///< the loader knows the program itself by an empty name
} told;
std::atomic<pid_t> blamed{0};
std::atomic<bool> ordered{false};  ///< by the parent, which has said why
std::atomic<bool> dying{false};

/// A short text in a fixed place, cut where it is full.
class Words {
public:
    Words& add(std::string_view text) noexcept {
        const std::size_t fitting = std::min(text.size(), bytes_.size() - size_);
        std::memcpy(bytes_.data() + size_, text.data(), fitting);
        size_ += fitting;
        return *this;
    }
    Words& add_number(std::uintptr_t number, int base) noexcept {
        std::array<char, 20> digits;
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, base).ptr;
        return add({digits.data(), static_cast<std::size_t>(end - digits.data())});
    }
    [[nodiscard]] std::string_view view() const noexcept { return {bytes_.data(), size_}; }

private:
    std::array<char, 1024> bytes_;
    std::size_t size_ = 0;
};

struct Frames {
    std::array<std::uintptr_t, most_frames> addresses;
    std::size_t count = 0;
};

/// The unwinder and _dl_find_object() beneath it take no lock.  Source: glibc 2.35 NEWS, GCC 12 unwind-dw2-fde-dip.c
_Unwind_Reason_Code note_frame(_Unwind_Context* context, void* into) {
    auto& frames = *static_cast<Frames*>(into);
    int interrupted = 0;  // the frame that a signal has interrupted, behind those of its handler
    const std::uintptr_t address = _Unwind_GetIPInfo(context, &interrupted);
    if (address == 0) return _URC_END_OF_STACK;
    if (interrupted != 0) frames.count = 0;
    // A return address may be the first of another function already: the call is before it.
    frames.addresses[frames.count++] = interrupted != 0 ? address : address - 1;
    return frames.count == most_frames ? _URC_END_OF_STACK : _URC_NO_REASON;
}

/// Where the interrupted instruction is; 0: this machine is not known here, and the stack alone tells.
std::uintptr_t instruction_of(const void* context) noexcept {
    [[maybe_unused]] const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
    return static_cast<std::uintptr_t>(machine.gregs[REG_RIP]);
#elif defined(__aarch64__)
    return machine.pc;
#else
    return 0;
#endif
}

/// An address, as people and addr2line(1) take it.
struct Place {
    Words where{};     ///< FILE+0xOFFSET
    Words function{};  ///< SYMBOL+0xOFFSET; empty: no dynamic symbol table names it
    Words command{};   ///< prints the function with its types, and the line, where there is debug information

    explicit Place(std::uintptr_t address) noexcept {
        void* const code = std::bit_cast<void*>(address);
        dl_find_object object{};
        if (::_dl_find_object(code, &object) != 0) {
            where.add("0x").add_number(address, 16);
            return;
        }
        const char* const name = object.dlfo_link_map->l_name;
        const std::string_view file = *name != '\0' ? name : told.program.data();
        const std::uintptr_t offset = address - object.dlfo_link_map->l_addr;
        where.add(file).add("+0x").add_number(offset, 16);
        command.add("addr2line -Cfpe ").add(file).add(" 0x").add_number(offset, 16);
        if (Dl_info info{}; ::dladdr(code, &info) != 0 && info.dli_sname != nullptr) {
            function.add({info.dli_sname, ::strnlen(info.dli_sname, longest_symbol_bytes)});
            function.add("+0x").add_number(address - reinterpret_cast<std::uintptr_t>(info.dli_saddr), 16);
        }
    }
};

/// `worker 2 (pid 77)`
void append_process(LogLine& line) noexcept {
    const pid_t self = ::getpid();
    if (self != told.process) line.append("child of ");
    line.append(told.worker != 0 ? "worker " : "process");
    if (told.worker != 0) line.append_number(told.worker);
    line.append(" (pid ");
    line.append_number(self);
    line.append(")");
}

void tell_frame(std::size_t number, std::uintptr_t address) noexcept {
    const Place place{address};
    LogLine line{0};
    line.append("stack of ");
    append_process(line);
    line.append(" #");
    line.append_number(number);
    line.append(" ");
    line.append(place.function.view().empty() ? place.where.view() : place.function.view());
    if (!place.command.view().empty()) line.append(": ");
    line.append(place.command.view());
    log(LogLevel::Warning, line.view(),
        {{"frame", std::uint64_t{number}}, {"function", place.function.view()}, {"where", place.where.view()}});
}

void tell_stack() noexcept {
    Frames frames;
    _Unwind_Backtrace(note_frame, &frames);
    for (std::size_t number = 0; number < frames.count; ++number) tell_frame(number, frames.addresses[number]);
}

/// Before the stack: to walk that may be a fault in itself.
void tell_crash(int signo, const siginfo_t& info, bool was_sent, std::uintptr_t instruction) noexcept {
    const Place place{instruction};
    LogLine line{0};
    append_process(line);
    line.append(" crashed: SIG");
    line.append(sigabbrev_np(signo));
    if (was_sent && info.si_pid != ::getpid()) {
        line.append(", sent by process ");
        line.append_number(info.si_pid);
    } else if (!was_sent) {
        line.append(" at address 0x");
        line.append(Words{}.add_number(std::bit_cast<std::uintptr_t>(info.si_addr), 16).view());
    }
    line.append(", in ");
    line.append(place.where.view());
    if (!place.function.view().empty()) line.append(" ");
    line.append(place.function.view());
    log(LogLevel::Error, line.view(),
        {{"signal", sigabbrev_np(signo)}, {"function", place.function.view()}, {"where", place.where.view()}});
}

/// Ends the process if what is told waits for a lock.
void limit_telling() noexcept {
    ::signal(SIGALRM, SIG_DFL);
    sigset_t alarm;
    ::sigemptyset(&alarm);
    ::sigaddset(&alarm, SIGALRM);
    ::pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr);
    ::alarm(longest_telling_seconds);
}

void on_crash(int signo, siginfo_t* info, void* context) {
    const bool was_sent = info->si_code <= 0;  // by kill(2), tgkill(2), abort(3): no fault
    if (signo == SIGABRT && was_sent && info->si_pid == ::getppid()) {
        ordered.store(true);
        // Another thread hangs.  It may have gone meanwhile, and then this one answers.
        const pid_t hung = blamed.load(std::memory_order_relaxed);
        if (hung != 0 && hung != ::gettid() && ::tgkill(::getpid(), hung, SIGABRT) == 0) return;
    }
    if (dying.exchange(true))  // another thread crashed first, and ends the process when it has told
        for (;;) ::pause();
    limit_telling();
    if (!ordered.load()) tell_crash(signo, *info, was_sent, instruction_of(context));
    tell_stack();
    ::signal(signo, SIG_DFL);
    // What faults does so again, with all that a core tells of it.  Else blocked in its own handler: it strikes on
    // return.
    const bool is_fault = signo == SIGSEGV || signo == SIGBUS || signo == SIGFPE || signo == SIGILL;
    if (was_sent || !is_fault) ::raise(signo);
}

constinit std::mutex spare_mutex;  // of SignalStack::spare()

}  // namespace

std::vector<std::unique_ptr<SignalStack::Memory>>& SignalStack::spare() {
    static auto& all = *new std::vector<std::unique_ptr<Memory>>;  // threads may outlast static objects
    return all;
}

SignalStack::SignalStack() noexcept {
    if (has_signal_stacks) return;
    {
        const std::scoped_lock lock{spare_mutex};
        if (!spare().empty()) {
            memory_ = std::move(spare().back());
            spare().pop_back();
        }
    }
    if (!memory_) memory_.reset(new (std::nothrow) Memory);
    if (!memory_) return;  // then an overflow of this thread's stack is told by the master alone
    const stack_t stack{.ss_sp = memory_->bytes.data(), .ss_flags = 0, .ss_size = memory_->bytes.size()};
    ::sigaltstack(&stack, nullptr);
}

/// The thread ends; the kernel forgets its stack with it.
SignalStack::~SignalStack() {
    if (!memory_) return;
    const std::scoped_lock lock{spare_mutex};
    try {
        spare().push_back(std::move(memory_));
    } catch (const std::bad_alloc&) {}  // then the next thread makes its own
}

void report_crashes(int worker) {
    told.worker = worker;
    told.process = ::getpid();
    if (::readlink("/proc/self/exe", told.program.data(), told.program.size() - 1) == -1)
        std::strcpy(told.program.data(), "preforkd");  // without /proc
    Frames warm_up;                                    // what is loaded or bound at first use is loaded and bound now
    _Unwind_Backtrace(note_frame, &warm_up);
    static const SignalStack stack;

    struct sigaction action {};
    action.sa_sigaction = on_crash;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    ::sigfillset(&action.sa_mask);
    for (const int signo : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS}) {
        struct sigaction present {};
        check(::sigaction(signo, nullptr, &present), "look at a signal's handler");
        if (present.sa_handler != SIG_DFL && present.sa_handler != SIG_IGN) continue;
        check(::sigaction(signo, &action, nullptr), "handle a signal");
    }
}

void blame_thread(pid_t hung) noexcept { blamed.store(hung, std::memory_order_relaxed); }

}  // namespace preforkd

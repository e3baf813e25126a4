#include "daemon/worker/stack_report.hpp"

#include <dlfcn.h>
#include <link.h>
#include <unistd.h>
#include <unwind.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "common/channel.hpp"
#include "common/sys_error.hpp"

namespace preforkd {

namespace {

constexpr std::size_t most_frames = 64;

// What the signal handler works on: plain values, written before it is installed.
struct {
    int channel = -1;
    std::array<char, 512> program{};  ///< the loader knows the program itself by an empty name
} told;
std::atomic<pid_t> blamed{0};
std::atomic<bool> dying{false};

/// A text in a fixed place, cut where it is full.
class Words {
public:
    void add(std::string_view text) noexcept {
        const std::size_t fitting = std::min(text.size(), bytes_.size() - size_);
        std::memcpy(bytes_.data() + size_, text.data(), fitting);
        size_ += fitting;
    }
    void add_number(std::uintptr_t number, int base) noexcept {
        std::array<char, 20> digits;
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, base).ptr;
        add({digits.data(), static_cast<std::size_t>(end - digits.data())});
    }
    [[nodiscard]] std::string_view view() const noexcept { return {bytes_.data(), size_}; }

private:
    std::array<char, 1000> bytes_;
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

/// `NUMBER\nFILE+0xOFFSET\nSYMBOL+0xOFFSET`, the last line only if the function has a name in the dynamic symbol table.
void send_frame(std::size_t number, std::uintptr_t address) noexcept {
    Words words;
    words.add_number(number, 10);
    words.add("\n");
    void* const code = std::bit_cast<void*>(address);
    if (dl_find_object object{}; ::_dl_find_object(code, &object) == 0) {
        const char* const file = object.dlfo_link_map->l_name;
        words.add(*file != '\0' ? file : told.program.data());
        words.add("+0x");
        words.add_number(address - object.dlfo_link_map->l_addr, 16);
    } else {
        words.add("0x");
        words.add_number(address, 16);
    }
    if (Dl_info info{}; ::dladdr(code, &info) != 0 && info.dli_sname != nullptr) {
        words.add("\n");
        words.add(info.dli_sname);
        words.add("+0x");
        words.add_number(address - reinterpret_cast<std::uintptr_t>(info.dli_saddr), 16);
    }
    send_report(told.channel, Report::Kind::Stack, words.view());
}

void send_stack() noexcept {
    Frames frames;
    _Unwind_Backtrace(note_frame, &frames);
    for (std::size_t number = 0; number < frames.count; ++number) send_frame(number, frames.addresses[number]);
}

void on_abort(int, siginfo_t* info, void*) {
    // Another thread hangs.  It may have gone meanwhile, and then this one answers.
    const pid_t hung = blamed.load(std::memory_order_relaxed);
    const bool by_master = info->si_pid != ::getpid();
    if (by_master && hung != 0 && hung != ::gettid() && ::tgkill(::getpid(), hung, SIGABRT) == 0) return;

    if (dying.exchange(true)) return;  // a second thread's, while the first still tells
    send_stack();
    struct sigaction fatal {};
    fatal.sa_handler = SIG_DFL;
    ::sigaction(SIGABRT, &fatal, nullptr);
    ::raise(SIGABRT);  // blocked in its own handler: it strikes on return
}

}  // namespace

void report_stack_on_abort(int channel) {
    told.channel = channel;
    if (::readlink("/proc/self/exe", told.program.data(), told.program.size() - 1) == -1)
        std::strcpy(told.program.data(), "preforkd");  // without /proc
    Frames warm_up;                                    // what is loaded or bound at first use is loaded and bound now
    _Unwind_Backtrace(note_frame, &warm_up);

    struct sigaction action {};
    action.sa_sigaction = on_abort;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    ::sigfillset(&action.sa_mask);
    check(::sigaction(SIGABRT, &action, nullptr), "handle SIGABRT");
}

void blame_thread(pid_t hung) noexcept { blamed.store(hung, std::memory_order_relaxed); }

}  // namespace preforkd

#include "daemon/worker/process/memory_watch.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/parse_number.hpp"
#include "common/base/units.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr auto period = 2s;

/// Resident pages less those of files and of shared memory.  Source: proc(5), /proc/[pid]/statm
std::uint64_t anonymous_bytes(int statm) {
    std::array<char, 128> text{};
    const ssize_t size = ::pread(statm, text.data(), text.size(), 0);
    if (size <= 0) return 0;
    std::array<std::uint64_t, 3> pages{};  // size, resident, shared
    std::string_view rest{text.data(), static_cast<std::size_t>(size)};
    for (std::uint64_t& each : pages) {
        each = take_number<std::uint64_t>(rest).value_or(0);
        rest.remove_prefix(std::min<std::size_t>(rest.size(), 1));
    }
    return pages[1] < pages[2] ? 0 : (pages[1] - pages[2]) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

UniqueFd open_statm() { return UniqueFd{::open("/proc/self/statm", O_RDONLY | O_CLOEXEC)}; }

}  // namespace

std::uint64_t private_memory_bytes() {
    std::ifstream rollup{"/proc/self/smaps_rollup"};
    std::uint64_t kilobytes = 0;
    bool found = false;
    for (std::string word; rollup >> word;) {
        if (word != "Private_Clean:" && word != "Private_Dirty:" && word != "SwapPss:") continue;
        std::uint64_t number = 0;
        rollup >> number;
        kilobytes += number;
        found = true;
    }
    return found ? kilobytes * 1024 : anonymous_bytes(open_statm().get());
}

MemoryWatch::MemoryWatch(Reactor& reactor, std::uint64_t limit_bytes, std::function<bool()> is_busy,
                         std::function<void()> too_large)
    : limit_bytes_{limit_bytes},
      is_busy_{std::move(is_busy)},
      too_large_{std::move(too_large)},
      timer_{reactor.make_timer()},
      statm_{open_statm()} {
    const std::uint64_t own = private_memory_bytes();
    if (own < limit_bytes_) return;
    over_ = true;
    log(LogLevel::Warning,
        "--max-memory {max_memory} is less than a worker needs before its first client ({private_bytes} bytes): "
        "ignored",
        {{"max_memory", print_size_bytes(limit_bytes_)}, {"private_bytes", own}});
}

void MemoryWatch::arm() {
    armed_ = true;
    timer_->set(period, [this] { measure(); });
}

void MemoryWatch::measure() {
    armed_ = false;
    if (anonymous_bytes(statm_.get()) > limit_bytes_) {
        if (const std::uint64_t bytes = private_memory_bytes(); bytes > limit_bytes_) {
            over_ = true;
            log(LogLevel::Notice, "worker uses {private_bytes} bytes, above --max-memory: replacing it",
                {{"private_bytes", bytes}});
            return too_large_();
        }
    }
    if (is_busy_()) arm();
}

}  // namespace preforkd

#include "daemon/worker/program/copy_memory.hpp"

#include <unistd.h>

#include <utility>

#include "common/base/units.hpp"
#include "common/process/process_tree.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr auto period = 2s;

std::uint64_t bytes_below_us(bool exactly) {
    std::uint64_t sum = 0;
    for (const pid_t pid : processes_below(::getpid())) sum += anonymous_bytes_of(pid, exactly);
    return sum;
}

}  // namespace

CopyMemory::CopyMemory(Reactor& reactor, Wanted wanted) : wanted_{std::move(wanted)}, timer_{reactor.make_timer()} {}

void CopyMemory::begin() {
    if (wanted_.limit_bytes == 0) return;
    const std::uint64_t own = bytes_below_us(true);
    if (own < wanted_.limit_bytes) return timer_->set(period, [this] { measure(); });
    log(LogLevel::Warning,
        "--max-memory {max_memory} is less than {program} needs before its first client ({private_bytes} bytes): "
        "ignored",
        {{"max_memory", print_size_bytes(wanted_.limit_bytes)}, {"program", wanted_.program}, {"private_bytes", own}});
}

void CopyMemory::measure() {
    if (bytes_below_us(false) > wanted_.limit_bytes) {
        if (const std::uint64_t bytes = bytes_below_us(true); bytes > wanted_.limit_bytes) {
            log(LogLevel::Notice,
                "{program}, with what it has started, uses {private_bytes} bytes, above --max-memory: replacing it",
                {{"program", wanted_.program}, {"private_bytes", bytes}});
            return wanted_.too_large();
        }
    }
    timer_->set(period, [this] { measure(); });
}

}  // namespace preforkd

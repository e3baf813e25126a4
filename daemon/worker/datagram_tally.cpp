#include "daemon/worker/datagram_tally.hpp"

#include <sys/mman.h>

#include <new>
#include <string>
#include <utility>

#include "common/sys_error.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

std::shared_ptr<DatagramTally> make_shared_tally(TrafficCounter traffic) {
    void* const memory =
        ::mmap(nullptr, sizeof(DatagramTally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw_errno("map the counters of datagrams");
    return {new (memory) DatagramTally{.traffic = traffic},
            [](DatagramTally* tally) { ::munmap(static_cast<void*>(tally), sizeof *tally); }};
}

void TallyReport::look_at(const DatagramTally& tally, const Listener& listener) {
    const std::uint64_t lost = tally.lost_replies.load(std::memory_order_relaxed);
    const std::uint64_t too_long = tally.too_long.load(std::memory_order_relaxed);
    const std::uint64_t dropped = tally.dropped.load(std::memory_order_relaxed);
    if (lost == lost_replies_ && too_long == too_long_ && dropped == dropped_) return;
    const auto now = Clock::now();
    if (silent_until_ && now < *silent_until_) return;
    silent_until_ = now + 1s;

    const std::string where = to_string(listener.local);
    const auto say = [&](LogLevel level, std::uint64_t& said, std::uint64_t total, const char* sentence) {
        if (std::exchange(said, total) != total) log(level, sentence, {{"total", total}, {"listener", where}});
    };
    say(LogLevel::Warning, dropped_, dropped, "the kernel dropped datagrams: the receive buffer was full, see rcvbuf=");
    say(LogLevel::Warning, too_long_, too_long, "datagrams longer than 65535 bytes came truncated and were not served");
    // A client can make this happen, so it is no warning.
    say(LogLevel::Notice, lost_replies_, lost, "replies to datagrams were lost: no room for them, or nobody there");
}

}  // namespace preforkd

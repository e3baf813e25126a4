#include "daemon/worker/accept/datagram_tally.hpp"

#include <linux/sock_diag.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <new>
#include <string>
#include <utility>

#include "common/base/sys_error.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

/// The kernel's count of what it has dropped; a datagram's note (SO_RXQ_OVFL) tells only what was before it came.
void read_drops(int socket, DatagramTally& tally) noexcept {
    std::array<std::uint32_t, SK_MEMINFO_VARS> numbers{};
    socklen_t size = sizeof numbers;
    // Where this fails, the notes are what there is.
    if (::getsockopt(socket, SOL_SOCKET, SO_MEMINFO, numbers.data(), &size) == 0 &&
        size > SK_MEMINFO_DROPS * sizeof numbers[0])
        tally.dropped.store(numbers[SK_MEMINFO_DROPS], std::memory_order_relaxed);
}

}  // namespace

std::shared_ptr<DatagramTally> make_shared_tally(TrafficCounter traffic) {
    void* const memory =
        ::mmap(nullptr, sizeof(DatagramTally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw_errno("map the counters of datagrams");
    return {new (memory) DatagramTally{.traffic = traffic},
            [](DatagramTally* tally) { ::munmap(static_cast<void*>(tally), sizeof *tally); }};
}

DatagramLosses::DatagramLosses(Reactor& reactor, std::function<void()> measure)
    : reactor_{reactor}, measure_{std::move(measure)} {}

std::shared_ptr<DatagramTally> DatagramLosses::open_tally(const Listener& listener, TrafficCounter traffic) {
    Entry& entry = entries_.emplace_back(Entry{.listener = listener, .tally = make_shared_tally(traffic)});
    count_drops(listener, listener.fd.get());
    entry.dropped = entry.tally->dropped.load(std::memory_order_relaxed);
    return entry.tally;
}

void DatagramLosses::count_drops(const Listener& listener, int socket) noexcept {
    if (listener.local.transport != Transport::Udp) return;  // a Unix sender waits
    for (Entry& entry : entries_)
        if (&entry.listener == &listener) read_drops(socket, *entry.tally);
}

void DatagramLosses::look() {
    if (silent_ || !say_all()) return;
    silent_ = true;
    if (!timer_) timer_ = reactor_.make_timer();
    timer_->set(1s, [this] {
        silent_ = false;
        measure_();
        look();
    });
}

void DatagramLosses::say_rest() {
    measure_();
    (void)say_all();
}

bool DatagramLosses::say_all() {
    bool said = false;
    for (Entry& entry : entries_) said |= say(entry);
    return said;
}

bool DatagramLosses::say(Entry& entry) {
    const std::uint64_t lost = entry.tally->lost_replies.load(std::memory_order_relaxed);
    const std::uint64_t too_long = entry.tally->too_long.load(std::memory_order_relaxed);
    const std::uint64_t dropped = entry.tally->dropped.load(std::memory_order_relaxed);
    if (lost == entry.lost_replies && too_long == entry.too_long && dropped == entry.dropped) return false;

    const std::string where = to_string(entry.listener.local);
    const auto has_grown = [](std::uint64_t& said, std::uint64_t total) { return std::exchange(said, total) != total; };
    if (has_grown(entry.dropped, dropped))
        log(LogLevel::Warning,
            "the kernel has dropped {total} datagrams to {listener} so far: the receive buffer was full, see rcvbuf=",
            {{"total", dropped}, {"listener", where}});
    if (has_grown(entry.too_long, too_long))
        log(LogLevel::Warning,
            "{total} datagrams to {listener} so far were longer than 65535 bytes, came truncated and were not served",
            {{"total", too_long}, {"listener", where}});
    // A client can make this happen, so it is no warning.
    if (has_grown(entry.lost_replies, lost))
        log(LogLevel::Notice, "{total} replies from {listener} so far were lost: buffer full, or no receiver",
            {{"total", lost}, {"listener", where}});
    return true;
}

}  // namespace preforkd

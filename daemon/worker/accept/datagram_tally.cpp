#include "daemon/worker/accept/datagram_tally.hpp"

#include <linux/sock_diag.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <new>
#include <string>

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

DatagramCounts counts_of(const DatagramTally& tally) noexcept {
    const auto read = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
    DatagramCounts counts{.lost_replies = read(tally.lost_replies),
                          .too_long = read(tally.too_long),
                          .dropped = read(tally.dropped),
                          .cut_replies = read(tally.cut_replies)};
    std::ranges::transform(tally.unserved, counts.unserved.begin(), read);
    return counts;
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
    entry.said.dropped = entry.tally->dropped.load(std::memory_order_relaxed);
    return entry.tally;
}

void DatagramLosses::count_drops(const Listener& listener, int socket) noexcept {
    if (listener.local.transport != Transport::Udp) return;  // a Unix sender waits
    for (Entry& entry : entries_)
        if (&entry.listener == &listener) read_drops(socket, *entry.tally);
}

void DatagramLosses::look_at_all() {
    if (silent_ || !say_all(When::Now)) return;
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
    (void)say_all(When::AtTheEnd);
}

bool DatagramLosses::say_all(When when) {
    bool said = false;
    for (Entry& entry : entries_) said |= say(entry, when);
    return said;
}

bool DatagramLosses::say(Entry& entry, When when) {
    DatagramCounts now = counts_of(*entry.tally);
    const DatagramCounts& before = entry.said;
    if (before.cut_replies != 0 && when == When::Now) now.cut_replies = before.cut_replies;
    if (now == before) return false;

    const std::string where = to_string(entry.listener.local);
    if (now.dropped != before.dropped)
        log(LogLevel::Warning,
            "the kernel has dropped {total} datagrams to {listener} so far: the receive buffer was full, see rcvbuf=",
            {{"total", now.dropped}, {"listener", where}});
    if (now.too_long != before.too_long)
        log(LogLevel::Warning,
            "{total} datagrams to {listener} so far were longer than 65535 bytes, came truncated and were not served",
            {{"total", now.too_long}, {"listener", where}});
    // A client can make these happen, so they are no warnings.
    if (now.lost_replies != before.lost_replies)
        log(LogLevel::Notice, "{total} replies from {listener} so far were lost: buffer full, or no receiver",
            {{"total", now.lost_replies}, {"listener", where}});
    if (now.cut_replies != before.cut_replies)
        log(LogLevel::Notice,
            "{total} replies from {listener} so far were cut to the length of their requests; amplify=yes sends them "
            "whole",
            {{"total", now.cut_replies}, {"listener", where}});
    for (std::size_t fault = 0; fault < source_faults; ++fault)
        if (now.unserved[fault] != before.unserved[fault])
            log(LogLevel::Notice, "{total} datagrams to {listener} so far were not served: {reason}",
                {{"total", now.unserved[fault]},
                 {"listener", where},
                 {"reason", describe(static_cast<SourceFault>(fault))}});
    entry.said = now;
    return true;
}

}  // namespace preforkd

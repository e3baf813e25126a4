#include "common/channel/scoreboard.hpp"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cassert>
#include <cstring>
#include <new>
#include <stdexcept>
#include <utility>

#include "common/base/sys_error.hpp"

namespace preforkd {

/// Starts the memory.  Append-only: readers of another version go by `version` and `record_bytes`.
struct Scoreboard::Layout {
    std::uint32_t magic;
    std::uint32_t version;
    std::uint32_t header_bytes;
    std::uint32_t record_bytes;
    std::uint64_t capacity;
    std::atomic<std::uint64_t> accepted;
    std::atomic<std::uint64_t> served;
    std::atomic<std::uint64_t> dropped_log_lines;
    Traffic traffic;

    static constexpr std::uint32_t expected_magic = 0x70666b64;  // "pfkd"
    static constexpr std::uint32_t current_version = 1;
    static constexpr std::size_t reserved_bytes = 4096;  // a page, so that records begin on one
    /// From record to record in every version: space for what later ones append.
    static constexpr std::size_t stride_bytes = 1024;
    static_assert(sizeof(WorkerRecord) <= stride_bytes);

    [[nodiscard]] std::byte* at(std::size_t index) noexcept {
        return reinterpret_cast<std::byte*>(this) + reserved_bytes + index * stride_bytes;
    }
};

void Scoreboard::map() {
    void* mapped = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0);
    if (mapped == MAP_FAILED) throw_errno("map the scoreboard");
    layout_ = static_cast<Layout*>(mapped);
}

Scoreboard::Scoreboard(std::size_t capacity)
    : memory_{check(::memfd_create("preforkd-scoreboard", MFD_CLOEXEC), "create the scoreboard")},
      bytes_{Layout::reserved_bytes + capacity * Layout::stride_bytes} {
    static_assert(sizeof(Layout) <= Layout::reserved_bytes);
    check(::ftruncate(memory_.get(), static_cast<off_t>(bytes_)), "size the scoreboard");
    map();
    new (layout_) Layout{.magic = Layout::expected_magic,
                         .version = Layout::current_version,
                         .header_bytes = Layout::reserved_bytes,
                         .record_bytes = Layout::stride_bytes,
                         .capacity = capacity,
                         .accepted = {},
                         .served = {},
                         .dropped_log_lines = {},
                         .traffic = {}};
}

Scoreboard::Scoreboard(UniqueFd memory) : memory_{std::move(memory)} {
    struct stat file {};
    check(::fstat(memory_.get(), &file), "look at the scoreboard");
    bytes_ = static_cast<std::size_t>(file.st_size);
    if (bytes_ < Layout::reserved_bytes) throw std::runtime_error{"the scoreboard is too small"};
    map();
    const bool readable = layout_->magic == Layout::expected_magic && layout_->header_bytes == Layout::reserved_bytes &&
                          layout_->record_bytes == Layout::stride_bytes &&
                          layout_->capacity <= (bytes_ - Layout::reserved_bytes) / Layout::stride_bytes;
    if (readable) return;
    ::munmap(layout_, bytes_);
    throw std::runtime_error{"this version does not know the layout of the scoreboard"};
}

Scoreboard::~Scoreboard() { ::munmap(layout_, bytes_); }

WorkerRecord& Scoreboard::operator[](std::size_t index) noexcept {
    assert(index < capacity());
    return *std::launder(reinterpret_cast<WorkerRecord*>(layout_->at(index)));
}

std::size_t Scoreboard::capacity() const noexcept { return layout_->capacity; }

std::size_t Scoreboard::acquire() {
    for (std::size_t index = 0; index < capacity(); ++index) {
        WorkerRecord& record = (*this)[index];
        if (record.state.load(std::memory_order_relaxed) != WorkerState::Vacant) continue;
        std::memset(layout_->at(index), 0, Layout::stride_bytes);  // what only a later version knows included
        new (&record) WorkerRecord{};
        enter(record, WorkerState::Starting);
        return index;
    }
    throw std::length_error{"no vacant record in the scoreboard"};
}

void Scoreboard::release(std::size_t index) noexcept {
    WorkerRecord& record = (*this)[index];
    count(layout_->accepted, record.accepted.load(std::memory_order_relaxed));
    count(layout_->served, record.served.load(std::memory_order_relaxed));
    count(layout_->dropped_log_lines, record.dropped_log_lines.load(std::memory_order_relaxed));
    count(layout_->traffic.received, record.traffic.received.load(std::memory_order_relaxed));
    count(layout_->traffic.sent, record.traffic.sent.load(std::memory_order_relaxed));
    record.state.store(WorkerState::Vacant, std::memory_order_relaxed);
}

WorkerTotals Scoreboard::totals() const noexcept {
    return {.accepted = layout_->accepted.load(std::memory_order_relaxed),
            .served = layout_->served.load(std::memory_order_relaxed),
            .dropped_log_lines = layout_->dropped_log_lines.load(std::memory_order_relaxed),
            .received_bytes = layout_->traffic.received.load(std::memory_order_relaxed),
            .sent_bytes = layout_->traffic.sent.load(std::memory_order_relaxed)};
}

}  // namespace preforkd

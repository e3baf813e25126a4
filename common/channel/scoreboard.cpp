#include "common/channel/scoreboard.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cassert>
#include <cstring>
#include <new>
#include <span>
#include <stdexcept>
#include <utility>

#include "common/base/sys_error.hpp"
#include "common/channel/own_memory.hpp"

namespace preforkd {

/// Starts the memory.  Written by masters, for a master of another version.  Append-only: readers of another version go
/// by `version` and `record_bytes`.
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

    [[nodiscard]] static std::size_t offset_of(std::size_t index) noexcept {
        return reserved_bytes + index * stride_bytes;
    }
    [[nodiscard]] std::byte* at(std::size_t index) noexcept {
        return reinterpret_cast<std::byte*>(this) + offset_of(index);
    }
};

void Scoreboard::map() {
    void* mapped = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0);
    if (mapped == MAP_FAILED) throw_errno("map the scoreboard");
    layout_ = static_cast<Layout*>(mapped);
    check(::madvise(mapped, bytes_, MADV_DONTFORK), "keep the scoreboard out of workers");
    taken_.resize((bytes_ - Layout::reserved_bytes) / Layout::stride_bytes);
}

Scoreboard::Scoreboard(std::size_t capacity)
    : memory_{check(::memfd_create("preforkd-scoreboard", MFD_CLOEXEC | MFD_ALLOW_SEALING), "create the scoreboard")},
      bytes_{(capacity + 1) * page_bytes()} {
    static_assert(sizeof(Layout) <= Layout::reserved_bytes);
    check(::ftruncate(memory_.get(), static_cast<off_t>(bytes_)), "size the scoreboard");
    // A worker that could shorten it would kill the master with its next look.
    check(::fcntl(memory_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), "seal the scoreboard");
    map();
    new (layout_) Layout{.magic = Layout::expected_magic,
                         .version = Layout::current_version,
                         .header_bytes = Layout::reserved_bytes,
                         .record_bytes = Layout::stride_bytes,
                         .capacity = taken_.size(),
                         .accepted = {},
                         .served = {},
                         .dropped_log_lines = {},
                         .traffic = {}};
}

Scoreboard::Scoreboard(UniqueFd memory, const std::optional<WorkerTotals>& totals) : memory_{std::move(memory)} {
    struct stat file {};
    check(::fstat(memory_.get(), &file), "look at the scoreboard");
    bytes_ = static_cast<std::size_t>(file.st_size);
    if (bytes_ < Layout::reserved_bytes) throw std::runtime_error{"the scoreboard is too small"};
    map();
    if (layout_->magic != Layout::expected_magic || layout_->header_bytes != Layout::reserved_bytes ||
        layout_->record_bytes != Layout::stride_bytes) {
        ::munmap(layout_, bytes_);
        throw std::runtime_error{"this version does not know the layout of the scoreboard"};
    }
    totals_ = totals ? *totals
                     : WorkerTotals{.accepted = layout_->accepted.load(std::memory_order_relaxed),
                                    .served = layout_->served.load(std::memory_order_relaxed),
                                    .dropped_log_lines = layout_->dropped_log_lines.load(std::memory_order_relaxed),
                                    .received_bytes = layout_->traffic.received.load(std::memory_order_relaxed),
                                    .sent_bytes = layout_->traffic.sent.load(std::memory_order_relaxed)};
}

Scoreboard::~Scoreboard() { ::munmap(layout_, bytes_); }

WorkerRecord& Scoreboard::operator[](std::size_t index) noexcept {
    assert(index < taken_.size());
    return *std::launder(reinterpret_cast<WorkerRecord*>(layout_->at(index)));
}

std::size_t Scoreboard::acquire() {
    for (std::size_t index = 0; index < taken_.size(); ++index) {
        if (taken_[index] || Layout::offset_of(index) % page_bytes() != 0) continue;
        taken_[index] = true;
        std::memset(layout_->at(index), 0, Layout::stride_bytes);  // what only a later version knows included
        enter(*new (layout_->at(index)) WorkerRecord{}, WorkerState::Starting);
        return index;
    }
    throw std::length_error{"no vacant record in the scoreboard"};
}

void Scoreboard::adopt(std::size_t index) {
    if (index >= taken_.size() || taken_[index])
        throw std::runtime_error{"a worker was handed over without a record of its own"};
    taken_[index] = true;
}

WorkerRecord& Scoreboard::map_own(std::size_t index) const {
    const std::span<std::byte> page = own_memory().first(page_bytes());
    map_own_memory(page, memory_.get(), Layout::offset_of(index));
    return *std::launder(reinterpret_cast<WorkerRecord*>(page.data()));
}

std::size_t Scoreboard::page_of(std::size_t index) noexcept {
    return (Layout::offset_of(index) - Layout::reserved_bytes) / page_bytes();
}

void Scoreboard::release(std::size_t index) noexcept {
    WorkerRecord& record = (*this)[index];
    totals_.accepted += record.accepted.load(std::memory_order_relaxed);
    totals_.served += record.served.load(std::memory_order_relaxed);
    totals_.dropped_log_lines += record.dropped_log_lines.load(std::memory_order_relaxed);
    totals_.received_bytes += record.traffic.received.load(std::memory_order_relaxed);
    totals_.sent_bytes += record.traffic.sent.load(std::memory_order_relaxed);
    note_totals();
    record.state.store(WorkerState::Vacant, std::memory_order_relaxed);
    taken_[index] = false;
}

/// For a master that reads them nowhere else.
void Scoreboard::note_totals() noexcept {
    layout_->accepted.store(totals_.accepted, std::memory_order_relaxed);
    layout_->served.store(totals_.served, std::memory_order_relaxed);
    layout_->dropped_log_lines.store(totals_.dropped_log_lines, std::memory_order_relaxed);
    layout_->traffic.received.store(totals_.received_bytes, std::memory_order_relaxed);
    layout_->traffic.sent.store(totals_.sent_bytes, std::memory_order_relaxed);
}

}  // namespace preforkd

#include "common/channel/count_board.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <utility>

#include "common/base/sys_error.hpp"
#include "common/channel/own_memory.hpp"

namespace preforkd {

/// Starts the memory.  Written by the master that makes it, for one of another version.
struct CountBoard::Header {
    std::uint64_t magic;
    std::uint64_t row_bytes;
    std::uint64_t place_bytes;  ///< all rows of a worker

    static constexpr std::uint64_t expected_magic = 0x7066'6b64'636e'7401;  // "pfkdcnt", version 1
    friend bool operator==(const Header&, const Header&) = default;

    [[nodiscard]] static Header expected() noexcept {
        return {.magic = expected_magic,
                .row_bytes = sizeof(ListenerRow),
                .place_bytes = whole_pages(listener_rows * sizeof(ListenerRow))};
    }
};

namespace {

constexpr std::size_t rows_bytes = listener_rows * sizeof(ListenerRow);
static_assert((rows_bytes + handler_counters * sizeof(HandlerCount)) % 4096 == 0);  // the smallest page there is

std::span<HandlerCount> handler_counts_behind(std::byte* rows) noexcept {
    return {std::launder(reinterpret_cast<HandlerCount*>(rows + rows_bytes)), handler_counters};
}

}  // namespace

CountBoard::CountBoard(std::size_t workers)
    : memory_{check(::memfd_create("preforkd-counts", MFD_CLOEXEC | MFD_ALLOW_SEALING), "create the counts")},
      bytes_{page_bytes() + workers * Header::expected().place_bytes} {
    check(::ftruncate(memory_.get(), static_cast<off_t>(bytes_)), "size the counts");
    // A worker that could shorten it would kill the master with its next look.
    check(::fcntl(memory_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), "seal the counts");
    map();
    *header_ = Header::expected();
}

CountBoard::CountBoard(UniqueFd memory) : memory_{std::move(memory)} {
    struct stat file {};
    check(::fstat(memory_.get(), &file), "look at the counts");
    bytes_ = static_cast<std::size_t>(file.st_size);
    if (bytes_ < page_bytes()) throw std::runtime_error{"the counts are too small"};
    map();
    if (*header_ != Header::expected()) {
        ::munmap(header_, bytes_);
        throw std::runtime_error{"this version does not know the layout of the counts"};
    }
}

CountBoard::~CountBoard() { ::munmap(header_, bytes_); }

void CountBoard::map() {
    void* const mapped = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memory_.get(), 0);
    if (mapped == MAP_FAILED) throw_errno("map the counts");
    header_ = static_cast<Header*>(mapped);
    places_ = (bytes_ - page_bytes()) / Header::expected().place_bytes;
    (void)::madvise(mapped, bytes_, MADV_DONTDUMP);
    check(::madvise(mapped, bytes_, MADV_DONTFORK), "keep the counts out of workers");
}

std::size_t CountBoard::offset_of(std::size_t place) noexcept {
    return page_bytes() + place * Header::expected().place_bytes;
}

std::span<ListenerRow> CountBoard::rows(std::size_t place) noexcept {
    if (place >= places_) return {};
    std::byte* const first = reinterpret_cast<std::byte*>(header_) + offset_of(place);
    return {std::launder(reinterpret_cast<ListenerRow*>(first)), listener_rows};
}

std::span<HandlerCount> CountBoard::handler_counts(std::size_t place) noexcept {
    if (place >= places_) return {};
    return handler_counts_behind(reinterpret_cast<std::byte*>(header_) + offset_of(place));
}

void CountBoard::clear(std::size_t place) const noexcept {
    // Those of a worker that has never counted are not there, and stay so.
    if (place < places_)
        ::fallocate(memory_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset_of(place)),
                    static_cast<off_t>(Header::expected().place_bytes));
}

std::span<ListenerRow> CountBoard::map_own(std::size_t place, std::size_t rows) const {
    if (place >= places_ || rows == 0) return {};
    const std::span<std::byte> own = own_memory().subspan(page_bytes(), Header::expected().place_bytes);
    map_own_memory(own, memory_.get(), offset_of(place));
    use_handler_counts(handler_counts_behind(own.data()));
    return {std::launder(reinterpret_cast<ListenerRow*>(own.data())), rows};
}

}  // namespace preforkd

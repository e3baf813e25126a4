#include "common/channel/source_table.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <functional>
#include <stdexcept>
#include <utility>

#include "common/base/sys_error.hpp"

namespace preforkd {
namespace {

// What the header begins with.  A table of another version is not read: its counts begin anew.
constexpr std::uint64_t expected_magic = 0x7066'6b64'7372'6301;  // "pfkdsrc", version 1
constexpr std::size_t magic_word = 0;
constexpr std::size_t size_word = 1;
constexpr std::size_t first_key_word = 2;
constexpr std::size_t second_key_word = 3;
constexpr std::size_t size_bytes = SourceCells::size_words() * sizeof(std::uint64_t);

UniqueFd make_memory() {
    UniqueFd memory{check(::memfd_create("preforkd-sources", MFD_CLOEXEC | MFD_ALLOW_SEALING), "create a table")};
    check(::ftruncate(memory.get(), static_cast<off_t>(size_bytes)), "size a table");
    // A worker that could shorten it would kill the master with its next look.
    check(::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), "seal a table");
    return memory;
}

RefusalTotals::Counts sum_of(RefusalTotals::Counts one, const RefusalTotals::Counts& other) noexcept {
    std::ranges::transform(one, other, one.begin(), std::plus{});
    return one;
}

SourceHashKey random_key() {
    std::array<std::uint64_t, 2> words{};
    check(static_cast<int>(::getrandom(words.data(), sizeof words, 0)), "get random numbers");
    return {.first = words[0], .second = words[1]};
}

}  // namespace

RefusalTotals::Counts RefusalTotals::sum() const noexcept {
    Counts sum = gone_;
    for (const SourceCells* const cells : living_) sum = sum_of(sum, cells->refusals());
    return sum;
}

SourceTable::SourceTable(std::shared_ptr<RefusalTotals> totals)
    : memory_{make_memory()}, words_{map()}, cells_{words_, random_key()}, totals_{std::move(totals)} {
    totals_->living_.push_back(&cells_);
    const SourceHashKey& key = cells_.key();
    words_[size_word] = size_bytes;
    words_[first_key_word] = key.first;
    words_[second_key_word] = key.second;
    words_[magic_word] = expected_magic;
    cells_.open_column(SourceCells::column_of(0));  // where there is no master, nobody else does
}

SourceTable::SourceTable(UniqueFd memory, std::shared_ptr<RefusalTotals> totals)
    : memory_{std::move(memory)}, words_{map()}, cells_{words_, read_header()}, totals_{std::move(totals)} {
    totals_->living_.push_back(&cells_);
}

SourceTable::~SourceTable() {
    totals_->gone_ = sum_of(totals_->gone_, cells_.refusals());
    std::erase(totals_->living_, &cells_);
    ::munmap(words_.data(), size_bytes);
}

std::span<std::uint64_t> SourceTable::map() {
    struct stat file {};
    check(::fstat(memory_.get(), &file), "look at a table");
    if (static_cast<std::size_t>(file.st_size) != size_bytes) throw std::runtime_error{"a table has another size"};
    void* mapped = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memory_.get(), 0);
    if (mapped == MAP_FAILED) throw_errno("map a table");
    (void)::madvise(mapped, size_bytes, MADV_DONTDUMP);  // a core would have all of its pages
    return {static_cast<std::uint64_t*>(mapped), size_bytes / sizeof(std::uint64_t)};
}

/// Later on what is written there counts no more: it is the workers' to write.
SourceHashKey SourceTable::read_header() const {
    if (words_[magic_word] != expected_magic || words_[size_word] != size_bytes) {
        ::munmap(words_.data(), size_bytes);
        throw std::runtime_error{"this version does not know the layout of a table"};
    }
    return {.first = words_[first_key_word], .second = words_[second_key_word]};
}

SourceQuota quota_of(const Listener& listener) {
    const ClientLimits& limits = listener.settings.limits;
    SourceQuota quota{.at_once = limits.per_source.value_or(0), .per_second = limits.rate.value_or(0)};
    if (limits.rate || listener.local.transport != Transport::Udp) return quota;
    constexpr std::uint32_t reserve_seconds = 2;
    quota.per_second = listener.replies_per_source;
    quota.burst = reserve_seconds * quota.per_second;
    return quota;
}

void make_sources(Listener& listener) {
    const ListenSettings& settings = listener.settings;
    const bool refuses = !settings.allow.empty() || !settings.deny.empty() || quota_of(listener) != SourceQuota{};
    if (!refuses && !settings.limits.max && !settings.inetd_wait)
        listener.sources = nullptr;
    else if (!listener.sources) {
        if (!listener.refused) listener.refused = std::make_shared<RefusalTotals>();
        listener.sources = std::make_shared<SourceTable>(listener.refused);
    }
}

void SourceTable::keep_from_children() const noexcept { (void)::madvise(words_.data(), size_bytes, MADV_DONTFORK); }

}  // namespace preforkd

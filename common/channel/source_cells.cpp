#include "common/channel/source_cells.hpp"

#include <algorithm>
#include <atomic>

namespace preforkd {
namespace {

using Word = std::atomic_ref<std::uint64_t>;
static_assert(Word::is_always_lock_free, "a worker killed at any instruction must leave no lock");

// A row's key: the hash, and below it the column of who is about to take the row, from 1.
constexpr std::uint64_t mark_bits = 0xfff;
static_assert(SourceCells::columns < mark_bits);

constexpr std::uint64_t key_part(std::uint64_t word) { return word & ~mark_bits; }

/// Never zero, which is a row that nobody has had.
constexpr std::uint64_t key_of(std::uint64_t hash) {
    const std::uint64_t key = key_part(hash);
    return key == 0 ? mark_bits + 1 : key;
}

constexpr std::size_t set_of(std::uint64_t hash) { return hash & (source_layout::sets - 1); }

constexpr int shift_of(SourceCells::Column column) {
    return static_cast<int>(column % source_layout::columns_each) * 16;
}

constexpr std::uint64_t count_bits = 0xffff;
constexpr int most_attempts = 1000;  // of those who meet at the limit, the last one finds that the others went back
constexpr int polite_attempts = 64;

bool swap(std::uint64_t& cell, std::uint64_t from, std::uint64_t to) noexcept {
    return Word{cell}.compare_exchange_strong(from, to);
}

std::uint64_t load(std::uint64_t& cell) noexcept { return Word{cell}.load(); }

}  // namespace

/// One set, while a source that it does not have yet is brought into it.
class SourceCells::Set {
public:
    Set(const SourceCells& cells, std::size_t number, Column column) noexcept
        : cells_{cells}, number_{number}, own_mark_{column + 1} {
        for (int attempt = 0; attempt < polite_attempts; ++attempt)
            if (swap(word(), 0, own_mark_)) return;
        std::uint64_t other = load(word());  // whoever it was, is killed, stopped or slow
        while (!Word{word()}.compare_exchange_weak(other, own_mark_)) {}
    }
    ~Set() { (void)swap(word(), own_mark_, 0); }
    Set(const Set&) = delete;
    Set& operator=(const Set&) = delete;

    [[nodiscard]] bool is_ours() const noexcept { return load(word()) == own_mark_; }

    void remove_marks() const noexcept {
        for (std::uint32_t way = 0; way < source_layout::set_rows; ++way)
            for (std::uint64_t word = load(key(way)); word != key_part(word); word = load(key(way)))
                (void)swap(key(way), word, key_part(word));
    }

    /// The row of `wanted`, marked or not.
    [[nodiscard]] static std::uint32_t find(const SourceCells& cells, std::size_t number,
                                            std::uint64_t wanted) noexcept {
        for (std::uint32_t way = 0; way < source_layout::set_rows; ++way)
            if (const std::uint32_t row = first_row(number) + way;
                key_part(load(cells.cell(source_layout::keys + row))) == wanted)
                return row;
        return no_row;
    }

    /// One that nobody has had, else of those that count nobody the one whose rate had the least to remember.
    [[nodiscard]] std::uint32_t vacant_row() const noexcept {
        std::uint32_t best = no_row;
        std::uint64_t best_rate = 0;
        for (std::uint32_t row = first_row(number_); row < first_row(number_ + 1); ++row) {
            if (load(cells_.cell(source_layout::keys + row)) == 0) return row;
            const std::uint64_t rate = load(cells_.cell(source_layout::rates + row));
            if ((best != no_row && rate >= best_rate) || cells_.sum_of(row) != 0) continue;
            best = row;
            best_rate = rate;
        }
        return best;
    }

    /// Whether `row` is that of `source` now.
    [[nodiscard]] bool take(std::uint32_t row, std::uint64_t wanted, const Source& source) const noexcept {
        std::uint64_t& own = cells_.cell(source_layout::keys + row);
        const std::uint64_t before = load(own);
        const std::uint64_t marked = before | own_mark_;
        if (before != key_part(before) || !swap(own, before, marked)) return false;
        if (!is_ours() || (before != 0 && cells_.sum_of(row) != 0)) {
            (void)swap(own, marked, before);
            return false;
        }
        const std::size_t first = source_layout::sources + row * source_layout::source_words;
        std::size_t next = first;
        for (const std::uint64_t word : {source.high, source.low, source.kind, std::uint64_t{0}})
            Word{cells_.cell(next++)}.store(word, std::memory_order_relaxed);
        forget_rate(row, own, marked);
        return swap(own, marked, wanted);
    }

private:
    /// As long as the row has the mark: whoever has removed it may have taken the row, and spent from it.
    void forget_rate(std::uint32_t row, std::uint64_t& own, std::uint64_t marked) const noexcept {
        std::uint64_t& rate = cells_.cell(source_layout::rates + row);
        for (std::uint64_t before = load(rate); load(own) == marked && !swap(rate, before, 0); before = load(rate)) {}
    }
    [[nodiscard]] static constexpr std::uint32_t first_row(std::size_t set) noexcept {
        return static_cast<std::uint32_t>(set * source_layout::set_rows);
    }
    [[nodiscard]] std::uint64_t& word() const noexcept { return cells_.cell(source_layout::set_words + number_); }
    [[nodiscard]] std::uint64_t& key(std::uint32_t way) const noexcept {
        return cells_.cell(source_layout::keys + first_row(number_) + way);
    }

    const SourceCells& cells_;
    std::size_t number_;
    std::uint64_t own_mark_;
};

std::uint64_t& SourceCells::counts_of(Column column, std::uint32_t row) const noexcept {
    const std::size_t block = column / source_layout::block_columns;
    const std::size_t word = column % source_layout::block_columns / source_layout::columns_each;
    return cell(source_layout::counts + (block * rows + row) * source_layout::block_words + word);
}

std::uint64_t SourceCells::count_of(Column column, std::uint32_t row) const noexcept {
    return load(counts_of(column, row)) >> shift_of(column) & count_bits;
}

SourceCells::Column SourceCells::columns_in_use() const noexcept {
    return static_cast<Column>(std::min<std::uint64_t>(load(cell(source_layout::columns_in_use)), columns));
}

std::uint64_t SourceCells::sum_of(std::uint32_t row) const noexcept {
    constexpr std::uint64_t every_other = 0x0000'ffff'0000'ffff;
    std::uint64_t pairs = 0;
    for (Column column = 0, end = columns_in_use(); column < end; column += source_layout::columns_each) {
        const std::uint64_t word = load(counts_of(column, row));
        pairs += (word & every_other) + (word >> 16 & every_other);
    }
    return (pairs & 0xffff'ffff) + (pairs >> 32);
}

void SourceCells::add(Column column, std::uint32_t row) const noexcept {
    Word{counts_of(column, row)}.fetch_add(std::uint64_t{1} << shift_of(column));
}

void SourceCells::leave(Column column, std::uint32_t row) const noexcept {
    if (row >= rows) return;
    // Nobody else should have taken it away; and it must not be borrowed from the column beside.
    if (count_of(column, row) != 0) Word{counts_of(column, row)}.fetch_sub(std::uint64_t{1} << shift_of(column));
}

/// Counts one in `row`; false: that is another source's by now.
bool SourceCells::hold(Column column, std::uint32_t row, std::uint64_t key) const noexcept {
    add(column, row);
    std::uint64_t& own = cell(source_layout::keys + row);
    for (std::uint64_t word = load(own); key_part(word) == key; word = load(own))
        if (word == key || swap(own, word, key)) return true;
    leave(column, row);
    return false;
}

std::uint32_t SourceCells::row_of(Column column, const Source& source, std::uint64_t hash) const noexcept {
    const std::uint64_t key = key_of(hash);
    if (const std::uint32_t row = Set::find(*this, set_of(hash), key); row != no_row) return row;
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        const Set set{*this, set_of(hash), column};
        set.remove_marks();
        if (const std::uint32_t row = Set::find(*this, set_of(hash), key); row != no_row) return row;
        const std::uint32_t row = set.vacant_row();
        if (row == no_row || set.take(row, key, source)) return row;
    }
    return no_row;
}

SourceCells::Entered SourceCells::enter(Column column, const Source& source, const SourceQuota& quota,
                                        std::chrono::nanoseconds now) const noexcept {
    const std::uint64_t hash = hash_of(source, key_);
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        const std::uint32_t row = row_of(column, source, hash);
        if (row == no_row) return {};
        if (count_of(column, row) >= most_at_once) {
            if (quota.at_once != 0) return refuse(RefusalReason::PerSource, row);
            return {};
        }
        if (!hold(column, row, key_of(hash))) continue;
        if (quota.at_once != 0 && sum_of(row) > quota.at_once) {
            leave(column, row);
            if (sum_of(row) >= quota.at_once) return refuse(RefusalReason::PerSource, row);
            continue;  // others went back as well
        }
        if (quota.per_second == 0 || take_token(row, quota, now)) return {.row = row};
        leave(column, row);
        return refuse(RefusalReason::Rate, row);
    }
    return refuse(RefusalReason::PerSource, no_row);
}

std::optional<RefusalReason> SourceCells::spend(Column column, const Source& source, const SourceQuota& quota,
                                                std::chrono::nanoseconds now) const noexcept {
    const std::uint32_t row = row_of(column, source, hash_of(source, key_));
    if (row == no_row || take_token(row, quota, now)) return std::nullopt;
    return refuse(RefusalReason::Rate, row).refused;
}

/// A bucket of tokens, kept as the time at which it is full again.  Source: GCRA, ITU-T I.371.
bool SourceCells::take_token(std::uint32_t row, const SourceQuota& quota, std::chrono::nanoseconds now) const noexcept {
    constexpr std::uint64_t second = 1'000'000'000;
    const auto now_ns = static_cast<std::uint64_t>(now.count());
    const std::uint64_t each_ns = second / quota.per_second;
    const std::uint64_t burst = quota.burst != 0 ? quota.burst : quota.per_second;
    Word full_at{cell(source_layout::rates + row)};
    for (std::uint64_t before = full_at.load();;) {
        const bool can_be = before <= now_ns + 2 * second;
        const std::uint64_t after = std::max(can_be ? before : 0, now_ns) + each_ns;
        if (after - now_ns > each_ns * burst) return false;
        if (full_at.compare_exchange_weak(before, after)) return true;
    }
}

SourceCells::Entered SourceCells::refuse(RefusalReason reason, std::uint32_t row) const noexcept {
    note_refusal(reason);
    if (row != no_row) Word{cell(source_layout::sources + row * source_layout::source_words + 3)}.fetch_add(1);
    return {.refused = reason};
}

bool SourceCells::enter_listener(Column column, std::uint32_t most) const noexcept {
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        Word{cell(source_layout::totals + column)}.fetch_add(1);
        if (clients() <= most) return true;
        leave_listener(column);
        if (clients() >= most) return false;
    }
    return false;
}

void SourceCells::leave_listener(Column column) const noexcept {
    Word own{cell(source_layout::totals + column)};
    if (own.load() != 0) own.fetch_sub(1);
}

std::uint64_t SourceCells::clients() const noexcept {
    std::uint64_t sum = 0;
    for (Column column = 0, end = columns_in_use(); column < end; ++column)
        sum += load(cell(source_layout::totals + column));
    return sum;
}

void SourceCells::note_refusal(RefusalReason reason) const noexcept {
    Word{cell(source_layout::refusals + static_cast<std::size_t>(reason))}.fetch_add(1, std::memory_order_relaxed);
}

std::array<std::uint64_t, refusal_reasons> SourceCells::refusals() const noexcept {
    std::array<std::uint64_t, refusal_reasons> counts{};
    for (std::size_t reason = 0; reason < refusal_reasons; ++reason)
        counts[reason] = load(cell(source_layout::refusals + reason));
    return counts;
}

void SourceCells::open_column(Column column) const noexcept {
    Word in_use{cell(source_layout::columns_in_use)};
    in_use.store(std::max<std::uint64_t>(columns_in_use(), column + 1));
}

void SourceCells::clear_column(Column column) const noexcept {
    Word{cell(source_layout::totals + column)}.store(0);
    const std::uint64_t own = count_bits << shift_of(column);
    for (std::uint32_t row = 0; row < rows; ++row) {
        if (load(cell(source_layout::keys + row)) == 0) continue;  // never had: its page need not be made
        std::uint64_t& counts = counts_of(column, row);
        if ((load(counts) & own) != 0) Word{counts}.fetch_and(~own);
    }
}

std::vector<ListedSource> SourceCells::top_sources(std::size_t most) const {
    std::vector<ListedSource> all;
    for (std::uint32_t row = 0; row < rows; ++row) {
        const std::uint64_t key = key_part(load(cell(source_layout::keys + row)));
        if (key == 0) continue;
        const std::size_t first = source_layout::sources + row * source_layout::source_words;
        ListedSource found{
            .source = {.high = load(cell(first)), .low = load(cell(first + 1)), .kind = load(cell(first + 2))},
            .at_once = sum_of(row),
            .refused = load(cell(first + 3))};
        // Just being written, or nothing that one of us writes.
        if (key_of(hash_of(found.source, key_)) != key || (found.at_once == 0 && found.refused == 0)) continue;
        all.push_back(found);
    }
    const auto end = all.begin() + static_cast<std::ptrdiff_t>(std::min(most, all.size()));
    std::ranges::partial_sort(all, end, [](const ListedSource& one, const ListedSource& other) {
        return one.at_once != other.at_once ? one.at_once > other.at_once : one.refused > other.refused;
    });
    all.erase(end, all.end());
    return all;
}

}  // namespace preforkd

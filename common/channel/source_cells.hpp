#pragma once
// How many clients of each source the workers of a listener have, in memory that they share.  Pure.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/channel/source.hpp"

namespace preforkd {

/// Why a client is not served; their numbers are in the memory.
enum class RefusalReason : std::uint8_t { Denied, PerSource, Rate };
inline constexpr std::size_t refusal_reasons = 3;

/// What one source may have; zero: as much as it wants.
struct SourceQuota {
    std::uint32_t at_once = 0;
    std::uint32_t per_second = 0;  ///< new ones
    std::uint32_t burst = 0;       ///< of those in one moment, at most twice as many; zero: as many
    friend bool operator==(const SourceQuota&, const SourceQuota&) = default;
};

struct ListedSource {
    Source source{};
    std::uint64_t at_once = 0;
    std::uint64_t refused = 0;
};

/// Rows in sets of eight: a source is in the set that its hash names, in one row of it at most, with a count for each
/// worker.  Only the worker that has a column adds to it, so the counts of a dead one can be taken away whole.  A
/// worker first adds itself, then looks at the sum, and goes back where that is too much: so the sum of those who stay
/// is never above the limit, whoever is killed when.
///
/// A row changes hands only while it counts nobody.  Who wants it marks it with its column, looks at the sum again and
/// then takes it, in one step that fails where the mark has gone; who comes for the row's own source removes the mark.
/// So does who searches the set after a worker that was killed, and two cannot bring one source into two rows: each row
/// is marked under the set's word, which may be taken from another, whose marks are removed first.
///
/// What is in the memory may be anything, if a worker was taken over: nothing here goes by it for where it reads.
class SourceCells {
public:
    using Column = std::uint32_t;
    static constexpr std::uint32_t rows = 16'384;
    static constexpr Column columns = 3 * 1024;  ///< of three generations of workers
    /// `worker`: its number, from 1, which no other living worker has; 0 where there is no master.
    [[nodiscard]] static constexpr Column column_of(int worker) noexcept {
        return static_cast<Column>(std::clamp(worker, 1, static_cast<int>(columns)) - 1);
    }

    static constexpr std::uint32_t most_at_once = 65'534;  ///< of one source
    static constexpr std::uint32_t no_row = ~std::uint32_t{0};

    [[nodiscard]] static constexpr std::size_t size_words() noexcept;

    /// `memory`: size_words(), zero at first.
    SourceCells(std::span<std::uint64_t> memory, const SourceHashKey& key) : memory_{memory}, key_{key} {}

    /// What keeps a client out, and the row that counts it; no_row: its set is full of other clients, so it is admitted
    /// and not counted.
    struct Entered {
        std::optional<RefusalReason> refused{};
        std::uint32_t row = no_row;
    };
    [[nodiscard]] Entered enter(Column column, const Source& source, const SourceQuota& quota,
                                std::chrono::nanoseconds now) const noexcept;
    void leave(Column column, std::uint32_t row) const noexcept;

    /// The same for who is gone at once, so that a rate alone can keep him out: nothing is to be given back.  Where his
    /// row is taken by another source meanwhile, that has paid for him.
    [[nodiscard]] std::optional<RefusalReason> spend(Column column, const Source& source, const SourceQuota& quota,
                                                     std::chrono::nanoseconds now) const noexcept;

    /// One more of all clients of the listener; false: there are `most` already.
    [[nodiscard]] bool enter_listener(Column column, std::uint32_t most) const noexcept;
    void leave_listener(Column column) const noexcept;

    void note_refusal(RefusalReason reason) const noexcept;
    [[nodiscard]] std::array<std::uint64_t, refusal_reasons> refusals() const noexcept;

    [[nodiscard]] const SourceHashKey& key() const noexcept { return key_; }

    // The master's
    /// Before a worker is forked that has `column`.  Those of before keep it in mind.
    void open_column(Column column) const noexcept;
    /// After its worker has died.
    void clear_column(Column column) const noexcept;
    [[nodiscard]] std::uint64_t clients() const noexcept;
    /// Those with the most clients, then those refused most often.
    [[nodiscard]] std::vector<ListedSource> top_sources(std::size_t most) const;

private:
    class Set;

    [[nodiscard]] std::uint64_t& cell(std::size_t index) const noexcept { return memory_[index]; }
    [[nodiscard]] std::uint64_t& counts_of(Column column, std::uint32_t row) const noexcept;
    [[nodiscard]] std::uint64_t count_of(Column column, std::uint32_t row) const noexcept;
    [[nodiscard]] Column columns_in_use() const noexcept;
    [[nodiscard]] std::uint64_t sum_of(std::uint32_t row) const noexcept;
    void add(Column column, std::uint32_t row) const noexcept;
    [[nodiscard]] bool hold(Column column, std::uint32_t row, std::uint64_t key) const noexcept;
    [[nodiscard]] bool take_token(std::uint32_t row, const SourceQuota& quota,
                                  std::chrono::nanoseconds now) const noexcept;
    [[nodiscard]] std::uint32_t row_of(Column column, const Source& source, std::uint64_t hash) const noexcept;
    [[nodiscard]] Entered refuse(RefusalReason reason, std::uint32_t row) const noexcept;

    std::span<std::uint64_t> memory_;
    SourceHashKey key_;
};

namespace source_layout {

inline constexpr std::size_t set_rows = 8;
inline constexpr std::size_t columns_each = 4;    // counts in a word
inline constexpr std::size_t block_columns = 32;  // whose counts of one row are a cache line
inline constexpr std::size_t block_words = block_columns / columns_each;
inline constexpr std::size_t source_words = 4;  // high, low, kind, refused
inline constexpr std::size_t sets = SourceCells::rows / set_rows;

inline constexpr std::size_t header = 0;
inline constexpr std::size_t header_words = 512;
inline constexpr std::size_t totals = header + header_words;  // of the listener, a word for each column
inline constexpr std::size_t set_words = totals + SourceCells::columns;
inline constexpr std::size_t keys = set_words + sets;
inline constexpr std::size_t rates = keys + SourceCells::rows;
inline constexpr std::size_t sources = rates + SourceCells::rows;
/// One block of columns after the other.
inline constexpr std::size_t counts = sources + std::size_t{SourceCells::rows} * source_words;
inline constexpr std::size_t end = counts + std::size_t{SourceCells::rows} * SourceCells::columns / columns_each;

// In the header, behind what the table itself keeps there
inline constexpr std::size_t columns_in_use = 8;
inline constexpr std::size_t refusals = 16;

}  // namespace source_layout

constexpr std::size_t SourceCells::size_words() noexcept { return source_layout::end; }

}  // namespace preforkd

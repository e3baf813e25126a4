#pragma once
// How often each error came.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>

namespace preforkd {

/// In memory that others read: a word for each error that has come, with its errno and how often; one writer.  What
/// finds no word is not counted; there are fewer errors of accept(2) than words.
class ErrnoCounts {
public:
    void add(int error) noexcept {
        for (auto& word : words_) {
            const std::uint64_t before = word.load(std::memory_order_relaxed);
            const std::uint64_t number = before >> count_bits;
            if (before != 0 && number != static_cast<std::uint64_t>(error)) continue;
            word.store((static_cast<std::uint64_t>(error) << count_bits) | ((before & count_mask) + 1),
                       std::memory_order_relaxed);
            return;
        }
    }

    /// By errno; each at most `most` times, whatever is written there.
    [[nodiscard]] std::map<int, std::uint64_t> read(std::uint64_t most) const {
        std::map<int, std::uint64_t> counts;
        for (const auto& word : words_) {
            const std::uint64_t value = word.load(std::memory_order_relaxed);
            const auto error = static_cast<int>(value >> count_bits);
            if (error <= 0 || error > largest_errno) continue;
            counts[error] = std::max(counts[error], std::min(value & count_mask, most));
        }
        return counts;
    }

private:
    static constexpr unsigned count_bits = 48;
    static constexpr std::uint64_t count_mask = (std::uint64_t{1} << count_bits) - 1;
    static constexpr int largest_errno = 4095;  // of the kernel

    std::array<std::atomic<std::uint64_t>, 16> words_{};
};

}  // namespace preforkd

#pragma once
// A note in shared memory: one writes, others read at any time, nobody locks.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace preforkd {

/// A few plain stores, of no more than `words` hold.
inline void store_bytes(std::span<std::atomic<std::uint64_t>> words, const void* bytes, std::size_t size) noexcept {
    size = std::min(size, words.size_bytes());
    const auto* from = static_cast<const std::byte*>(bytes);
    for (std::size_t offset = 0; offset < size; offset += sizeof(std::uint64_t)) {
        std::uint64_t word = 0;
        std::memcpy(&word, from + offset, std::min(sizeof word, size - offset));
        words[offset / sizeof word].store(word, std::memory_order_relaxed);
    }
}

/// All that `words` hold.
[[nodiscard]] inline std::string load_bytes(std::span<const std::atomic<std::uint64_t>> words) {
    std::string bytes(words.size_bytes(), '\0');
    for (std::size_t index = 0; index < words.size(); ++index) {
        const std::uint64_t word = words[index].load(std::memory_order_relaxed);
        std::memcpy(bytes.data() + index * sizeof word, &word, sizeof word);
    }
    return bytes;
}

/// Up to `capacity_bytes` bytes.  Whoever reads while it is written may find half of the old and half of the new, and a
/// writer that is killed leaves the same: readers take nothing for granted.
template <std::size_t capacity_bytes>
class NotedBytes {
public:
    static_assert(capacity_bytes % sizeof(std::uint64_t) == 0);

    /// What does not fit is cut.  A few plain stores.
    void write(const void* bytes, std::size_t size) noexcept {
        store_bytes(words_, bytes, size);
        size_.store(std::min(size, capacity_bytes), std::memory_order_relaxed);
    }
    void write(std::string_view text) noexcept { write(text.data(), text.size()); }

    [[nodiscard]] std::string read() const {
        std::string bytes = load_bytes(words_);
        bytes.resize(std::min<std::uint64_t>(size_.load(std::memory_order_relaxed), capacity_bytes));
        return bytes;
    }

private:
    std::atomic<std::uint64_t> size_{};
    std::array<std::atomic<std::uint64_t>, capacity_bytes / sizeof(std::uint64_t)> words_{};
};

/// The last line of level error of a worker.
using ErrorNote = NotedBytes<120>;

}  // namespace preforkd

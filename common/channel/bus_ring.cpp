#include "common/channel/bus_ring.hpp"

#include <algorithm>
#include <cstring>

// Writing and reading are those of a sequence lock.  Source: H.-J. Boehm, Can Seqlocks Get Along With Programming
// Language Memory Models?
namespace preforkd {
namespace {

constexpr auto ring_order = std::memory_order_relaxed;
constexpr std::size_t word_bytes = sizeof(std::uint64_t);
static_assert(bus_ring_bytes % word_bytes == 0 && (bus_ring_bytes & (bus_ring_bytes - 1)) == 0,
              "positions wrap around");

constexpr std::uint64_t whole_words(std::uint64_t bytes) noexcept { return (bytes + word_bytes - 1) / word_bytes; }

/// Puts bytes into words, one after the other.
class WordStore {
public:
    WordStore(BusRing& ring, std::uint64_t position) noexcept : ring_{ring}, at_{position / word_bytes} {}
    void add(std::string_view text) noexcept {
        while (!text.empty()) {
            const std::size_t size = std::min(text.size(), word_bytes - filled_);
            std::memcpy(reinterpret_cast<char*>(&word_) + filled_, text.data(), size);
            text.remove_prefix(size);
            filled_ += size;
            if (filled_ == word_bytes) finish();
        }
    }
    void finish() noexcept {
        if (filled_ == 0) return;
        ring_.words[at_++ % ring_.words.size()].store(word_, ring_order);
        word_ = filled_ = 0;
    }

private:
    BusRing& ring_;
    std::uint64_t at_;
    std::uint64_t word_ = 0;
    std::size_t filled_ = 0;
};

void load_words(const BusRing& ring, std::uint64_t position, std::string& buffer, std::size_t bytes) {
    buffer.resize(whole_words(bytes) * word_bytes);
    for (std::size_t word = 0; word < whole_words(bytes); ++word) {
        const std::uint64_t value = ring.words[(position / word_bytes + word) % ring.words.size()].load(ring_order);
        std::memcpy(buffer.data() + word * word_bytes, &value, word_bytes);
    }
}

}  // namespace

BusWriter::BusWriter(BusRing& ring) noexcept
    : ring_{ring},
      number_{ring.published.load(ring_order)},
      position_{whole_words(ring.reserved.load(ring_order)) * word_bytes} {}

void BusWriter::write(std::string_view topic, std::string_view text) noexcept {
    const std::uint64_t end = position_ + whole_words(topic.size() + text.size()) * word_bytes;
    ring_.claimed.store(number_ + 1, ring_order);
    ring_.reserved.store(end, ring_order);
    std::atomic_thread_fence(std::memory_order_release);  // who sees what follows sees that it was announced
    WordStore words{ring_, position_};
    words.add(topic);
    words.add(text);
    words.finish();
    BusRing::Entry& entry = ring_.entries[number_ % bus_ring_messages];
    entry.position.store(position_, ring_order);
    entry.sizes.store(std::uint64_t{topic.size()} << 32 | text.size(), ring_order);
    position_ = end;
    ring_.published.store(++number_, std::memory_order_release);
}

BusReader::Step BusReader::read(std::string& buffer, BusMessage& message, std::uint64_t& lost) {
    const std::uint64_t ahead = ring_->published.load(std::memory_order_acquire) - next_;
    if (ahead == 0) return Step::Nothing;
    constexpr std::uint64_t backwards = std::uint64_t{1} << 63;  // as no writer of ours goes
    if (ahead >= backwards) {
        next_ += ahead;
        return Step::Nothing;
    }
    if (ahead > bus_ring_messages) {
        lost = ahead - bus_ring_messages;
        next_ += lost;
        return Step::Lost;
    }
    const BusRing::Entry& entry = ring_->entries[next_ % bus_ring_messages];
    const std::uint64_t position = entry.position.load(ring_order);
    const std::uint64_t sizes = entry.sizes.load(ring_order);
    const std::size_t topic = sizes >> 32;
    const std::size_t text = sizes & 0xffff'ffff;
    const bool possible = topic + text <= longest_bus_message;
    if (possible) load_words(*ring_, position, buffer, topic + text);
    std::atomic_thread_fence(std::memory_order_acquire);
    const bool whole = possible && ring_->claimed.load(ring_order) - next_ <= bus_ring_messages &&
                       ring_->reserved.load(ring_order) - position <= bus_ring_bytes;
    ++next_;
    if (!whole) {
        lost = 1;
        return Step::Lost;
    }
    const std::string_view all{buffer};
    message = {.topic = all.substr(0, topic), .text = all.substr(topic, text)};
    return Step::Message;
}

}  // namespace preforkd

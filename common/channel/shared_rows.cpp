#include "common/channel/shared_rows.hpp"

#include <algorithm>

#include "common/base/noted_bytes.hpp"

namespace preforkd {
namespace {

constexpr auto row_order = std::memory_order_relaxed;

/// FNV-1a.  Two objects of one key would be one: among 64 of one author that does not happen.
std::uint64_t key_of(const SharedName& wanted) noexcept {
    std::uint64_t hash = 0xcbf2'9ce4'8422'2325;
    const auto add = [&hash](std::uint64_t byte) { hash = (hash ^ byte) * 0x100'0000'01b3; };
    for (const char c : wanted.name) add(static_cast<unsigned char>(c));
    for (const std::uint64_t number : {wanted.bytes, std::uint64_t{wanted.version}})
        for (unsigned shift = 0; shift < 64; shift += 8) add(number >> shift & 0xff);
    return hash == 0 ? 1 : hash;
}

std::optional<std::size_t> row_with(std::span<const SharedRow> rows, std::uint64_t key) noexcept {
    for (std::size_t index = 0; index < rows.size(); ++index)
        if (rows[index].key.load(std::memory_order_acquire) == key) return index;
    return std::nullopt;
}

struct Claim {
    std::size_t index = 0;
    bool is_new = false;
};

std::optional<Claim> claim_row(std::span<SharedRow> rows, std::uint64_t key) noexcept {
    if (const auto found = row_with(rows, key)) return Claim{*found};
    for (std::size_t index = 0; index < rows.size(); ++index) {
        std::uint64_t seen = 0;
        if (rows[index].key.compare_exchange_strong(seen, key)) {
            // A row before it may have become free, and somebody else's for the same object, since we passed it.
            const std::size_t first = row_with(rows, key).value_or(index);
            if (first == index) return Claim{index, true};
            rows[index].key.store(0);
            return Claim{first};
        }
        if (seen == key) return Claim{index};
    }
    return std::nullopt;
}

void raise_to(std::atomic<std::uint64_t>& number, std::uint64_t least) noexcept {
    std::uint64_t seen = number.load(row_order);
    while (seen < least && !number.compare_exchange_weak(seen, least, row_order)) {}
}

}  // namespace

std::string SharedRow::name() const {
    std::string text = load_bytes(words);
    text.resize(std::min(text.find('\0'), text.size()));
    return text;
}

std::optional<FoundRow> find_shared_row(std::span<SharedRow> rows, const SharedName& wanted, std::uint64_t generation) {
    const std::uint64_t key = key_of(wanted);
    const auto claim = claim_row(rows, key);
    if (!claim) return std::nullopt;
    SharedRow& row = rows[claim->index];
    raise_to(row.generation, generation);
    row.bytes.store(wanted.bytes, row_order);
    row.version.store(wanted.version, row_order);
    store_bytes(row.words, wanted.name.data(), wanted.name.size());
    FoundRow found{.index = claim->index};
    if (!claim->is_new) return found;
    for (std::size_t index = 0; index < rows.size(); ++index)
        if (index != found.index && rows[index].key.load(row_order) != 0 && rows[index].name() == wanted.name)
            found.before = index;
    return found;
}

bool is_superseded(std::span<const SharedRow> rows, std::size_t index, std::uint64_t oldest) {
    const SharedRow& row = rows[index];
    const std::uint64_t generation = row.generation.load(row_order);
    // One without a generation is being taken right now.
    if (row.key.load(row_order) == 0 || generation == 0 || generation >= oldest) return false;
    const std::string name = row.name();
    return std::ranges::any_of(rows, [&](const SharedRow& other) {
        return &other != &row && other.key.load(row_order) != 0 && other.generation.load(row_order) >= oldest &&
               other.name() == name;
    });
}

}  // namespace preforkd

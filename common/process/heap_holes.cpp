#include "common/process/heap_holes.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace preforkd {

namespace {

constexpr std::size_t largest = 65536;  // below glibc's threshold for a mapping of its own
constexpr std::size_t small = 1024;     // up to here glibc has a list for each size
constexpr std::size_t smallest = 16;
constexpr std::size_t most = 1U << 20U;  // bytes: with an allocator that never gives what lies at the end

struct Piece {
    Piece* next;
};

Piece* taken = nullptr;  // kept in a list, so that a leak checker sees them

}  // namespace

void fill_heap_holes() {
    // Larger than any hole, so it comes from the end of the heap; what lies below it, once it is freed, is a hole.
    void* end = std::malloc(largest + largest / 2);
    const auto begin_of_end = reinterpret_cast<std::uintptr_t>(end);
    std::free(end);

    std::size_t sum = 0;
    for (std::size_t size = largest; size >= smallest; size -= size > small ? size / 2 : 16) {
        while (sum < most) {
            auto* piece = static_cast<Piece*>(std::malloc(size));
            if (piece == nullptr) return;
            if (reinterpret_cast<std::uintptr_t>(piece) >= begin_of_end) {
                // Grown, it is given back to the end it came from; as small as it is, it would become the next hole.
                void* grown = std::realloc(piece, 2 * small);
                std::free(grown != nullptr ? grown : piece);
                break;
            }
            *piece = {taken};
            taken = piece;
            sum += size;
        }
    }
}

}  // namespace preforkd

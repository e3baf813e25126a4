#pragma once
// Where each worker maps what of the memory that it shares with its master is its own.
#include <cstddef>
#include <span>

namespace preforkd {

[[nodiscard]] std::size_t page_bytes() noexcept;

/// `bytes`, and what of the last page they leave.
[[nodiscard]] std::size_t whole_pages(std::size_t bytes) noexcept;

/// Its record, a page, and behind it its rows.  The addresses are reserved when this is first asked, so that what is
/// made before the fork can name them.  Throws std::system_error.
[[nodiscard]] std::span<std::byte> own_memory();

/// Maps `bytes` of `memory` at `place`, a part of own_memory(), for reading and writing.  Later on it cannot be moved
/// or grow, which would reach what is others': that is for the worker's sandbox to see to, and since Linux 6.10 for
/// mseal(2), where no filter of system calls could kill for it.  Throws std::system_error.
void map_own_memory(std::span<std::byte> place, int memory, std::size_t offset);

}  // namespace preforkd

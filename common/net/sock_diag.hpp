#pragma once
// What the kernel tells of the sockets of this network: sock_diag(7).
#include <cstddef>
#include <cstring>
#include <functional>
#include <span>

namespace preforkd {

/// Reads one answer, without its header; false: it is not what was expected.
using ReadSockDiag = std::function<bool(std::span<const std::byte> body)>;

/// Asks for one socket, or for all that match (`is_list`).  `request`: of its family.  False where the kernel does not
/// tell (no sock_diag, a sandbox), or not of all.  It answers from within the calls: nothing is waited for.
[[nodiscard]] bool ask_sock_diag(std::span<const std::byte> request, bool is_list, const ReadSockDiag& read);

/// Those that have come of it, of an answer that may be shorter than the structure is by now.
template <class T>
[[nodiscard]] T read_struct(std::span<const std::byte> bytes) noexcept {
    T read{};
    std::memcpy(&read, bytes.data(), bytes.size() < sizeof read ? bytes.size() : sizeof read);
    return read;
}

/// Calls `take` with the content of each attribute of one kind, from `offset` on; false: they are no attributes.
[[nodiscard]] bool read_attributes(std::span<const std::byte> body, std::size_t offset, int kind,
                                   const std::function<void(std::span<const std::byte>)>& take);

}  // namespace preforkd

#pragma once
// Bytes in several places that are sent as one.
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <span>

#include "daemon/worker/loop/buffer_pool.hpp"
#include "preforkd/parts.hpp"

namespace preforkd {

/// What is left to send of several parts.
class Gathered {
public:
    explicit Gathered(const Parts& parts) noexcept {
        for (const std::span<const std::byte> part : parts.all())
            // sendmsg(2) only reads there.
            if (!part.empty()) all_[end_++] = {const_cast<std::byte*>(part.data()), part.size()};
    }

    [[nodiscard]] bool empty() const noexcept { return first_ == end_; }

    [[nodiscard]] std::span<const iovec> rest() const noexcept { return {all_.data() + first_, end_ - first_}; }

    void drop(std::size_t bytes) noexcept {
        while (bytes != 0) {
            iovec& part = all_[first_];
            const std::size_t taken = std::min(bytes, part.iov_len);
            part.iov_base = static_cast<std::byte*>(part.iov_base) + taken;
            part.iov_len -= taken;
            bytes -= taken;
            if (part.iov_len == 0) ++first_;
        }
    }

private:
    std::array<iovec, Parts::most> all_{};
    std::size_t first_ = 0;
    std::size_t end_ = 0;
};

inline constexpr std::size_t longest_record_bytes = std::size_t{16} * 1024;  // of TLS.  Source: RFC 8446, 5.1
static_assert(BufferPool::buffer_bytes >= longest_record_bytes);

/// What TLS makes one record of, of `parts`, which are not empty: the first where it fills one or is the only one, or
/// a copy in `space` of as much as fits.  Whoever has to try again gets the same.
[[nodiscard]] inline std::span<const std::byte> one_record(std::span<const iovec> parts, std::byte* space) noexcept {
    const iovec& first = parts.front();
    if (parts.size() == 1 || first.iov_len >= longest_record_bytes)
        return {static_cast<const std::byte*>(first.iov_base), first.iov_len};
    std::size_t filled = 0;
    for (const iovec& part : parts) {
        const std::size_t taken = std::min(part.iov_len, longest_record_bytes - filled);
        std::memcpy(space + filled, part.iov_base, taken);
        filled += taken;
        if (filled == longest_record_bytes) break;
    }
    return {space, filled};
}

}  // namespace preforkd

#pragma once
#include <cstddef>
#include <cstdint>

#include "daemon/worker/loop/buffer_pool.hpp"

namespace preforkd {

/// Where in a read buffer the bytes are that nobody has taken yet; in few bytes, since each idle connection has it.
class UnreadBytes {
public:
    [[nodiscard]] std::size_t begin() const noexcept { return begin_; }
    [[nodiscard]] std::size_t end() const noexcept { return end_; }
    [[nodiscard]] std::size_t size() const noexcept { return std::size_t{end_} - begin_; }
    [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }

    void add(std::size_t bytes) noexcept { end_ = static_cast<std::uint16_t>(end_ + bytes); }
    void take(std::size_t bytes) noexcept {
        begin_ = static_cast<std::uint16_t>(begin_ + bytes);
        if (empty()) begin_ = end_ = 0;
    }
    /// They have been moved to the beginning of the buffer.
    void move_to_front() noexcept {
        end_ = static_cast<std::uint16_t>(size());
        begin_ = 0;
    }

private:
    static_assert(BufferPool::buffer_bytes <= UINT16_MAX);
    std::uint16_t begin_ = 0;
    std::uint16_t end_ = 0;
};

}  // namespace preforkd

#pragma once
#include <cstddef>
#include <memory>
#include <vector>

namespace preforkd {

/// A read buffer; empty until one is taken from a pool.
using Buffer = std::unique_ptr<std::byte[]>;

/// Read buffers of one size, lent only while there is data, so that an idle connection costs none.
class BufferPool {
public:
    static constexpr std::size_t buffer_bytes = std::size_t{16} * 1024;

    [[nodiscard]] Buffer take() {
        if (spare_.empty()) return std::make_unique_for_overwrite<std::byte[]>(buffer_bytes);
        Buffer buffer = std::move(spare_.back());
        spare_.pop_back();
        return buffer;
    }

    void give_back(Buffer buffer) {
        if (buffer && spare_.size() < most_spare) spare_.push_back(std::move(buffer));
    }

private:
    static constexpr std::size_t most_spare = 16;  // 256 KiB: enough to recycle, little to hold for ever
    std::vector<Buffer> spare_;
};

}  // namespace preforkd

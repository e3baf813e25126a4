#pragma once
// An address as an idle connection keeps it.
#include <cstddef>
#include <cstring>

#include "common/net/socket_address.hpp"

namespace preforkd {

/// A SocketAddress in the bytes that it needs: 32 instead of 132 for all but a Unix client that has bound a path, for
/// whom it is elsewhere.
class KeptAddress {
public:
    explicit KeptAddress(const SocketAddress& address) : size_{address.size()} {
        if (!is_long()) {
            std::memcpy(bytes_, address.data(), size_);
            return;
        }
        const SocketAddress* const copy = new SocketAddress{address};
        std::memcpy(bytes_, &copy, pointer_bytes);
    }
    ~KeptAddress() {
        if (is_long()) delete elsewhere();
    }
    KeptAddress(const KeptAddress&) = delete;
    KeptAddress& operator=(const KeptAddress&) = delete;

    [[nodiscard]] SocketAddress get() const noexcept {
        return is_long() ? *elsewhere() : SocketAddress{reinterpret_cast<const sockaddr*>(bytes_), size_};
    }

private:
    static constexpr socklen_t inline_bytes = 28;  // sockaddr_in6
    static constexpr std::size_t pointer_bytes = sizeof(void*);

    [[nodiscard]] bool is_long() const noexcept { return size_ > inline_bytes; }
    [[nodiscard]] const SocketAddress* elsewhere() const noexcept {
        const SocketAddress* copy = nullptr;
        std::memcpy(&copy, bytes_, pointer_bytes);
        return copy;
    }

    socklen_t size_;
    alignas(sockaddr) char bytes_[inline_bytes]{};
};

}  // namespace preforkd

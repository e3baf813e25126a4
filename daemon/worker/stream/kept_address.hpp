#pragma once
// An address as an idle connection keeps it.
#include <cstring>
#include <memory>

#include "common/net/socket_address.hpp"

namespace preforkd {

/// A SocketAddress in the bytes that it needs: 28 instead of 128 for all but a Unix client that has bound a path, for
/// whom it is elsewhere.
class KeptAddress {
public:
    explicit KeptAddress(const SocketAddress& address) : size_{address.size()} {
        if (size_ > inline_bytes) long_ = std::make_unique<SocketAddress>(address);
        std::memcpy(bytes_, address.data(), long_ ? 0 : size_);
    }

    [[nodiscard]] SocketAddress get() const noexcept {
        return long_ ? *long_ : SocketAddress{reinterpret_cast<const sockaddr*>(bytes_), size_};
    }

private:
    static constexpr socklen_t inline_bytes = 28;  // sockaddr_in6

    std::unique_ptr<SocketAddress> long_{};
    socklen_t size_;
    alignas(sockaddr) char bytes_[inline_bytes]{};
};

}  // namespace preforkd

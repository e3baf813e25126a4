#pragma once
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include "common/base/unique_fd.hpp"

namespace preforkd {

/// Descriptors, at most `Most`, that go along with a message over a Unix socket.  Outlives its sendmsg(2).
/// Source: unix(7), SCM_RIGHTS; cmsg(3).
template <std::size_t Most>
class PassedDescriptors {
public:
    /// Without any, `message` stays as it is.
    PassedDescriptors(msghdr& message, std::span<const int> descriptors) noexcept {
        if (descriptors.empty()) return;
        message.msg_control = space_.data();
        message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
        cmsghdr* const header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
        std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
    }
    PassedDescriptors(const PassedDescriptors&) = delete;
    PassedDescriptors& operator=(const PassedDescriptors&) = delete;

private:
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int) * Most)> space_{};
};

/// Those that have come along with `message`, which recvmsg(2) has filled.
[[nodiscard]] inline std::vector<UniqueFd> received_descriptors(msghdr& message) {
    std::vector<UniqueFd> received;
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t bytes = header->cmsg_len - CMSG_LEN(0);
        for (std::size_t at = 0; at < bytes; at += sizeof(int)) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(header) + at, sizeof fd);
            received.emplace_back(fd);
        }
    }
    return received;
}

}  // namespace preforkd

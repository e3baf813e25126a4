#pragma once
// A connection to a server, as it is or with TLS.  Neither kind blocks.
#include <memory>
#include <span>
#include <string_view>

#include "common/base/unique_fd.hpp"
#include "common/tls/tls_stream.hpp"

namespace preforkd {

class Wire {
public:
    Wire() = default;
    explicit Wire(UniqueFd socket) : socket_{std::move(socket)} {}

    /// Everything from now on is said in `tls`, which is on this socket.
    void speak(std::unique_ptr<TlsStream> tls) { tls_ = std::move(tls); }

    [[nodiscard]] int fd() const noexcept { return socket_.get(); }
    [[nodiscard]] const TlsStream* tls() const noexcept { return tls_.get(); }

    [[nodiscard]] TlsResult read(std::span<char> space);
    [[nodiscard]] TlsResult write(std::string_view text);
    /// Reading goes on.  Failed only when the server has reset, which the next read tells.
    TlsResult end_output();
    /// Whether there is something to read of which poll(2) does not tell.
    [[nodiscard]] bool has_pending() const noexcept { return tls_ && tls_->has_pending(); }

private:
    UniqueFd socket_{};
    std::unique_ptr<TlsStream> tls_{};
};

}  // namespace preforkd

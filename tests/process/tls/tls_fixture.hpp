#pragma once
// Both ends of a TLS connection in one thread, over a socket pair.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/unique_fd.hpp"
#include "common/tls/self_signed.hpp"
#include "common/tls/server_context.hpp"
#include "common/tls/tls_client.hpp"
#include "common/tls/tls_stream.hpp"

namespace preforkd {

using Kind = TlsResult::Kind;

/// Certificates in the place of files: `certificate` and `key` of `pairs[i]` are named `i`.
inline std::unique_ptr<TlsContext> context_of(const std::vector<CertificatePair>& pairs, TlsSettings settings = {}) {
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        settings.certificates.push_back(std::to_string(i));
        settings.keys.push_back(std::to_string(i));
    }
    return std::make_unique<TlsContext>(settings, "tcp://here", std::make_shared<RotatingTicketKeys>(),
                                        [&pairs](const std::string& key, const std::string& file) {
                                            const CertificatePair& pair = pairs.at(std::stoul(file));
                                            return key == "key" ? pair.key : pair.certificate;
                                        });
}

inline std::pair<UniqueFd, UniqueFd> stream_pair() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
    return {UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

class TlsPair {
public:
    explicit TlsPair(const TlsContext& context, std::string server_name = {},
                     std::pair<UniqueFd, UniqueFd> sockets = stream_pair())
        : server_fd{std::move(sockets.first)},
          client_fd{std::move(sockets.second)},
          name_{std::move(server_name)},
          client_settings_{{.server_name = name_, .verifies = false}} {
        server = TlsStream::accept(context.get(), server_fd.get());
        client = client_settings_.connect(client_fd.get());
    }

    /// Whether both have come to an agreement.
    [[nodiscard]] bool shake_hands() {
        for (int turns = 0; turns < 10; ++turns) {
            const Kind client_is = client->handshake().kind;
            const Kind server_is = server->handshake().kind;
            if (client_is == Kind::Failed || server_is == Kind::Failed) return false;
            if (client_is == Kind::Done && server_is == Kind::Done) return true;
        }
        return false;
    }

    UniqueFd server_fd{};
    UniqueFd client_fd{};
    std::unique_ptr<TlsStream> server{};
    std::unique_ptr<TlsStream> client{};

private:
    std::string name_;
    TlsClient client_settings_;
};

inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span{text}); }

inline TlsResult read_into(TlsStream& stream, std::string& text) {
    std::array<std::byte, 1 << 16> space{};
    const TlsResult result = stream.read(space);
    text.append(reinterpret_cast<const char*>(space.data()), result.bytes);
    return result;
}

}  // namespace preforkd

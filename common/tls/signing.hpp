#pragma once
// What a worker asks of the process that has the private keys, and what that answers.
//
// Through two pipes a worker, which carry bytes and nothing else: through a socket a worker could pass a descriptor
// whose close lingers.  All messages have one size, below PIPE_BUF, so that each is written and read as a whole,
// whoever is killed meanwhile.  Source: pipe(7).
#include <array>
#include <climits>
#include <cstddef>
#include <cstdint>

#include "common/base/unique_fd.hpp"

struct x509_st;  // OpenSSL's X509

namespace preforkd {

/// Which key: the SHA-256 of its public half.
using KeyName = std::array<std::uint8_t, 32>;

/// Of the key that a certificate is for.  Throws std::runtime_error.
[[nodiscard]] KeyName key_name_of(x509_st* certificate);

enum class SigningKind : std::uint32_t {
    Ecdsa = 1,     ///< a digest
    RsaPkcs1 = 2,  ///< what is still to be padded, as PKCS #1 1.5 does
    RsaRaw = 3,    ///< what has its padding, such as PSS: as many bytes as the key
};

inline constexpr std::size_t most_signed_bytes = 2048;  // RSA with 16384 bits, which is what OpenSSL takes at most

struct SigningRequest {
    std::uint64_t number = 0;  ///< from 1; each has its own among those that share the pipes
    KeyName key{};
    SigningKind kind{};
    std::uint32_t size = 0;
    std::array<std::uint8_t, most_signed_bytes> bytes{};
};

struct SigningAnswer {
    std::uint64_t number = 0;  ///< of the request; 0: another process reads the requests from now on
    std::uint64_t size = 0;    ///< of the signature; 0: it has not that key, or cannot
    std::array<std::uint8_t, most_signed_bytes> bytes{};
};

static_assert(sizeof(SigningRequest) <= PIPE_BUF && sizeof(SigningAnswer) <= PIPE_BUF);

/// What one side has of the two pipes.
struct SigningEnd {
    UniqueFd requests{};
    UniqueFd answers{};

    [[nodiscard]] explicit operator bool() const noexcept { return requests && answers; }
};

struct SigningPipes {
    SigningEnd worker{};
    SigningEnd keys{};  ///< of the process that has them; blocks
};

/// Throws std::system_error.
[[nodiscard]] SigningPipes open_signing_pipes();

}  // namespace preforkd

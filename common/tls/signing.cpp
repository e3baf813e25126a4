#include "common/tls/signing.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "common/base/sys_error.hpp"
#include "common/tls/openssl.hpp"

namespace preforkd {

KeyName key_name_of(X509* certificate) {
    KeyName name{};
    unsigned size = 0;
    static_assert(std::tuple_size_v<KeyName> == 32);  // of SHA-256
    check_openssl(openssl().X509_pubkey_digest(certificate, openssl().EVP_sha256(), name.data(), &size) == 1,
                  "hash a public key");
    return name;
}

SigningPipes open_signing_pipes() {
    std::array<int, 2> requests{};
    check(::pipe2(requests.data(), O_CLOEXEC), "make a pipe to the key process");
    SigningPipes pipes{.worker = {.requests = UniqueFd{requests[1]}}, .keys = {.requests = UniqueFd{requests[0]}}};
    std::array<int, 2> answers{};
    check(::pipe2(answers.data(), O_CLOEXEC), "make a pipe from the key process");
    pipes.worker.answers = UniqueFd{answers[0]};
    pipes.keys.answers = UniqueFd{answers[1]};
    // A process that does not read any more must keep nobody longer than is waited for an answer.
    check(::fcntl(pipes.worker.requests.get(), F_SETFL, O_NONBLOCK), "make a pipe non-blocking");
    return pipes;
}

}  // namespace preforkd

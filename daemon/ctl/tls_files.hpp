#pragma once
#include "common/tls/tls_client.hpp"
#include "daemon/ctl/tls_request.hpp"

namespace preforkd {

/// Loads OpenSSL, which then stays.  Throws std::runtime_error: a sentence that says what to install.
void load_openssl();

/// Reads the files of `request`.  Throws std::runtime_error: one sentence, which names the option and its file.
[[nodiscard]] TlsClientSettings read_tls_files(const TlsRequest& request);

}  // namespace preforkd

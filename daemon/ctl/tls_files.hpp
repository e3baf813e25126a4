#pragma once
#include "common/tls/tls_client.hpp"
#include "daemon/ctl/tls_request.hpp"

namespace preforkd {

/// Reads the files of `request`.  Throws std::runtime_error: one sentence, which names the option and its file.
[[nodiscard]] TlsClientSettings read_tls_files(const TlsRequest& request);

}  // namespace preforkd

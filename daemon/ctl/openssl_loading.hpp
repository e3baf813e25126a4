#pragma once

namespace preforkd {

/// Loads OpenSSL, which then stays.  Throws std::runtime_error: a sentence that says what to install.
void load_openssl();

}  // namespace preforkd

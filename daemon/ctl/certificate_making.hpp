#pragma once
#include "daemon/ctl/certificate_order.hpp"

namespace preforkd {

/// preforkctl certificate: writes PREFIX.pem and PREFIX.key, and says what to do with them.
///
/// Neither of the two is overwritten; where one cannot be written, none is.
/// Throws std::runtime_error or std::system_error with one sentence.
void make_certificate(const CertificateOrder& order);

}  // namespace preforkd

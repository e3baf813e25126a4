#pragma once
// The files behind tls://.
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "common/config/option_origin.hpp"
#include "common/config/settings.hpp"
#include "common/tls/key_service.hpp"
#include "common/tls/server_context.hpp"

namespace preforkd {

/// What a listener that speaks TLS needs; nullptr for one that does not.  Throws OperatorError that names the listener
/// as `asked_by` does, the key, the file and the remedy: Permission for a file that may not be read, Configuration for
/// the rest.  `signer`: for private keys that have a process of their own, which reads them.
[[nodiscard]] std::shared_ptr<const TlsContext> read_tls(const ListenSettings& listen,
                                                         const std::shared_ptr<TicketKeys>& ticket_keys,
                                                         const std::shared_ptr<Signer>& signer,
                                                         const Origin& asked_by = {});

/// What that process has to read; nothing where there is none for `listen`.
[[nodiscard]] std::vector<KeyToServe> keys_to_serve(const ListenSettings& listen, const TlsContext& context);

/// The sentence about a certificate that has expired by `now`, or will within 14 days; "" for others.
[[nodiscard]] std::string expiry_warning(const ListenSettings& listen, const TlsContext& context,
                                         std::chrono::system_clock::time_point now);

}  // namespace preforkd

#pragma once
// The files behind allow= and deny=.
#include <memory>

#include "common/config/option_origin.hpp"
#include "common/config/settings.hpp"

namespace preforkd {

/// What both keys of a listener come to; nullptr where it has neither.  Throws OperatorError (Configuration) that names
/// the listener as `asked_by` does, the key and the file.
[[nodiscard]] std::shared_ptr<const AccessTable> read_access(const ListenSettings& listen, const Origin& asked_by = {});

/// Where there is no way back: a file that cannot be read is an error in the log, and the table then admits nobody.
[[nodiscard]] std::shared_ptr<const AccessTable> read_access_or_close(const ListenSettings& listen,
                                                                      const Origin& asked_by = {});

}  // namespace preforkd

#pragma once
// The configuration file that a set of services comes to.  Pure.
#include <string>
#include <vector>

#include "daemon/ctl/import/old_files.hpp"
#include "daemon/ctl/import/service_socket.hpp"

namespace preforkd {

struct ImportedConfig {
    std::string text{};             ///< of preforkd.conf(5)
    std::vector<Remark> remarks{};  ///< what of the services is not in it
};

[[nodiscard]] ImportedConfig import_config(const OldFiles& files, const SystemNames& names);

}  // namespace preforkd

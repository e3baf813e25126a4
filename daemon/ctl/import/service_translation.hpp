#pragma once
// From a service of xinetd or inetd to a section of preforkd.conf(5).  Pure.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "daemon/ctl/import/old_entry.hpp"
#include "daemon/ctl/import/service_socket.hpp"

namespace preforkd {

struct ServiceTranslation {
    std::string endpoint{};            ///< empty: there is none that preforkd could serve
    std::vector<std::string> lines{};  ///< `name = value`, to stand below it
    std::vector<std::string> notes{};  ///< what to know of these, although nothing is lost
    std::vector<Remark> remarks{};     ///< what is lost
    bool withheld = false;             ///< so much is lost that it must not be served like this
    std::uint32_t instances = 0;       ///< programs that it may have at once; 0: no limit, or not by this
};

/// `attributes`: of merge_attributes().
[[nodiscard]] ServiceTranslation translate_service(const OldEntry& service, std::span<const OldAttribute> attributes,
                                                   const SystemNames& names);

}  // namespace preforkd

#pragma once
// Where a service of xinetd or inetd listens.  Pure.
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "daemon/ctl/import/old_access.hpp"
#include "daemon/ctl/import/old_entry.hpp"

namespace preforkd {

/// What this machine knows by name.
struct SystemNames {
    std::function<std::optional<std::uint16_t>(const std::string& service, const std::string& protocol)> find_port{};
    FindNetwork find_network{};
};

struct ServiceSocket {
    bool is_stream = true;
    std::string protocol{};        ///< tcp, udp or unix
    std::string endpoint{};        ///< empty: preforkd could serve none like this
    std::optional<bool> v6only{};  ///< to be said of it
    std::optional<Remark> why_not{};
};

[[nodiscard]] ServiceSocket find_socket(const OldEntry& service, std::span<const OldAttribute> attributes,
                                        const SystemNames& names);

}  // namespace preforkd

#pragma once
// The addresses of only_from and no_access.  Pure.
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/internet_host.hpp"

namespace preforkd {

/// The network that /etc/networks calls so.
using FindNetwork = std::function<std::optional<HostPrefix>(const std::string& name)>;

/// What `word` stands for as `allow=` and `deny=` have it: a host, a network whose zeros at the end are any number,
/// `192.0.2.{1,2}`, a prefix, a name of /etc/networks, or `localhost`.  Empty: the name of a host or a domain, which
/// xinetd asks the DNS for at each client, or nothing at all.  Source: xinetd.conf(5), only_from.
[[nodiscard]] std::vector<HostPrefix> read_old_address(const std::string& word, const FindNetwork& find_network);

}  // namespace preforkd

#pragma once
// Services as text, and what they come to.
#include <string>
#include <string_view>
#include <vector>

#include "daemon/ctl/import/imported_config.hpp"
#include "daemon/ctl/import/inetd_text.hpp"
#include "daemon/ctl/import/xinetd_text.hpp"

namespace preforkd {

inline std::optional<std::uint16_t> known_port(const std::string& service, const std::string& protocol) {
    if (service == "telnet" && protocol == "tcp") return 23;
    if (service == "tftp" && protocol == "udp") return 69;
    if (service == "echo") return 7;
    return std::nullopt;
}

inline std::optional<HostPrefix> known_network(const std::string& name) {
    return name == "campus" ? parse_host_prefix("128.138.0.0/16") : std::nullopt;
}

/// As read_old_files() has them, of one file called `f` that includes nothing.
inline OldFiles as_files(OldText text) {
    OldFiles files{.remarks = std::move(text.remarks)};
    for (OldEntry& entry : text.entries)
        if (entry.kind == OldEntry::Kind::Defaults)
            files.defaults.insert(files.defaults.end(), entry.attributes.begin(), entry.attributes.end());
        else
            files.services.push_back(std::move(entry));
    return files;
}

inline ImportedConfig imported_from(OldText text) {
    return import_config(as_files(std::move(text)), {.find_port = known_port, .find_network = known_network});
}
inline ImportedConfig from_xinetd(std::string_view text) { return imported_from(parse_xinetd(text, "f")); }
inline ImportedConfig from_inetd(std::string_view text) { return imported_from(parse_inetd(text, "f")); }

/// A service called telnet on tcp, `cat` for each client, with these lines.
inline ImportedConfig from_telnet(std::string_view lines) {
    return from_xinetd("service telnet\n{\nsocket_type = stream\nwait = no\nserver = /bin/cat\n" + std::string{lines} +
                       "\n}\n");
}

/// The lines that are neither empty nor comments.
inline std::vector<std::string> said_by(const ImportedConfig& made) {
    std::vector<std::string> lines;
    std::string_view rest = made.text;
    while (!rest.empty()) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(line.size() + 1, rest.size()));
        if (!line.empty() && line.front() != '#') lines.emplace_back(line);
    }
    return lines;
}

inline std::vector<std::string> lost_by(const ImportedConfig& made) {
    std::vector<std::string> lines;
    for (const Remark& remark : made.remarks) lines.push_back(remark.place + ": " + remark.sentence);
    return lines;
}

}  // namespace preforkd

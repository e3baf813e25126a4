#include "daemon/ctl/import/service_import.hpp"

#include <arpa/inet.h>
#include <netdb.h>

#include <cstdio>

#include "daemon/ctl/import/imported_config.hpp"
#include "daemon/ctl/import/old_files.hpp"
#include "daemon/ctl/output.hpp"

namespace preforkd {
namespace {

std::optional<std::uint16_t> find_port(const std::string& service, const std::string& protocol) {
    const servent* const entry = ::getservbyname(service.c_str(), protocol.c_str());
    if (entry == nullptr) return std::nullopt;
    return ntohs(static_cast<std::uint16_t>(entry->s_port));
}

/// A number without its zeros at the end: 127 is 127.0.0.0/8.  Source: getnetbyname(3)
std::optional<HostPrefix> find_network(const std::string& name) {
    const netent* const entry = ::getnetbyname(name.c_str());
    if (entry == nullptr || entry->n_addrtype != AF_INET || entry->n_net == 0) return std::nullopt;
    int bits = 32;
    std::uint32_t number = entry->n_net;
    for (; (number >> 24) == 0; number <<= 8) bits -= 8;
    while (bits > 8 && (number >> (32 - bits) & 0xff) == 0) bits -= 8;
    return HostPrefix{.first = ipv4_host(number), .bits = mapped_bits + bits};
}

}  // namespace

bool import_services(const CommandLine& line) {
    if (line.words.empty()) refuse("import: name the files or directories: preforkctl import /etc/xinetd.conf");
    const ImportedConfig made =
        import_config(read_old_files(line.words), {.find_port = find_port, .find_network = find_network});
    print(made.text);
    for (const Remark& remark : made.remarks) {
        const std::string place = remark.place.empty() ? "preforkctl: import" : remark.place;
        std::fprintf(stderr, "%s: %s\n", place.c_str(), harmless(remark.sentence).c_str());
    }
    return made.remarks.empty();
}

}  // namespace preforkd

#pragma once
// What `preforkctl certificate` is asked for.  Pure.
#include <chrono>
#include <string>
#include <vector>

#include "daemon/ctl/command_line.hpp"

namespace preforkd {

struct CertificateOrder {
    std::vector<std::string> names{};  ///< host names in lower case and addresses in their shortest form, each once
    std::chrono::days valid{365};
    std::string prefix{};  ///< of both files' paths: `localhost`
};

/// The addresses of this machine go with `localhost`.  Throws std::invalid_argument with one sentence.
[[nodiscard]] CertificateOrder read_certificate_order(const CommandLine& line);

/// `a.example`, `192.0.2.1` or `::1` of these, to ask the server for: `localhost`, or else the first that is no
/// pattern; empty where there is none.
[[nodiscard]] std::string host_to_ask(const CertificateOrder& order);

/// A host name or IP address, brought to one form.  Throws std::invalid_argument with `expected ..., not ...`.
/// `*.example.org` stands for every name with one label more.
[[nodiscard]] std::string read_certified_name(std::string_view text);

}  // namespace preforkd

#include "daemon/ctl/certificate_order.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "common/base/internet_host.hpp"
#include "common/base/lower_case.hpp"
#include "common/config/option_values.hpp"

namespace preforkd {
namespace {

constexpr NumberRange days_range{.min = 1, .max = 3650};
constexpr std::size_t longest_host = 253;  // Source: RFC 1035, 2.3.4
constexpr std::size_t longest_label = 63;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_label(std::string_view label) {
    const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_'; };
    return !label.empty() && label.size() <= longest_label && std::ranges::all_of(label, allowed) && label[0] != '-' &&
           label.back() != '-';
}

/// No name ends with a number, which clients take for an address.  Source: RFC 1123, 2.1.
bool is_host_name(std::string_view name) {
    if (name.size() > longest_host) return false;
    if (name.starts_with("*.")) name.remove_prefix(2);
    for (;;) {
        const std::string_view label = name.substr(0, name.find('.'));
        if (!is_label(label)) return false;
        if (label.size() == name.size()) return !std::ranges::all_of(label, is_digit);
        name.remove_prefix(label.size() + 1);
    }
}

void add(std::vector<std::string>& names, const std::string& name) {
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
}

/// As a file may be called: without a colon, and with no pattern for a shell.
std::string file_name_for(std::string name) {
    if (name.starts_with('*')) name.replace(0, 1, "_wildcard");
    std::ranges::replace(name, ':', '_');
    return name;
}

std::string read_prefix(const std::optional<std::string>& out, const std::string& name) {
    if (!out) return file_name_for(name);
    std::string prefix = read_path(*out, "the path of both files without their endings");
    constexpr std::string_view ending = ".pem";
    if (prefix.ends_with('/')) return prefix + file_name_for(name);
    if (prefix.ends_with(ending) && !prefix.ends_with("/.pem") && prefix != ending)
        prefix.resize(prefix.size() - ending.size());
    return prefix;
}

}  // namespace

std::string read_certified_name(std::string_view text) {
    if (text.find('/') == text.npos)
        if (const auto address = parse_host_prefix(text)) return to_string(*address);
    std::string name = lower_case(std::string{text});
    if (!is_host_name(name))
        refuse_value("a host name or an IP address alone, such as localhost, *.example.org, 192.0.2.1 or ::1", text);
    return name;
}

CertificateOrder read_certificate_order(const CommandLine& line) {
    if (line.words.empty()) refuse("certificate: name the hosts that it is for: preforkctl certificate localhost");
    CertificateOrder order;
    for (const std::string& word : line.words) try {
            add(order.names, read_certified_name(word));
        } catch (const std::invalid_argument& error) { refuse(fmt::format("certificate: {}", error.what())); }
    if (std::ranges::find(order.names, "localhost") != order.names.end())
        for (const char* const here : {"127.0.0.1", "::1"}) add(order.names, here);
    try {
        order.prefix = read_prefix(line.value("out"), order.names[0]);
    } catch (const std::invalid_argument& error) { refuse(fmt::format("--out: {}", error.what())); }
    if (const auto days = line.value("days")) try {
            order.valid = std::chrono::days{read_number(*days, days_range)};
        } catch (const std::invalid_argument& error) { refuse(fmt::format("--days: {}", error.what())); }
    return order;
}

std::string host_to_ask(const CertificateOrder& order) {
    if (std::ranges::find(order.names, "localhost") != order.names.end()) return "localhost";
    const auto name = std::ranges::find_if(order.names, [](const auto& each) { return !each.starts_with('*'); });
    return name == order.names.end() ? "" : *name;
}

}  // namespace preforkd

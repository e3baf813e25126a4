#include "common/config/control_endpoint.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstddef>

#include "common/config/option_values.hpp"

namespace preforkd {
namespace {

constexpr std::string_view ending = ".sock";

}  // namespace

Endpoint parse_control_endpoint(std::string_view text) {
    // What is wrong with a path, such as its length, parse_endpoint() says better.
    if (text.starts_with("unix://")) return parse_endpoint(text);
    refuse_value("unix:///PATH or unix://@NAME", text);
}

std::optional<Endpoint> control_in_runtime_directory(const char* runtime_directory) {
    if (runtime_directory == nullptr) return std::nullopt;
    const std::string_view all{runtime_directory};
    const std::string_view first = all.substr(0, all.find(":/"));  // a name in a path may have a colon, too
    if (!first.starts_with('/')) return std::nullopt;
    return Endpoint{.transport = Transport::Unix, .path = std::string{first} + "/control.sock"};
}

std::optional<std::string> control_directory_by_hand(bool is_root, const char* xdg_runtime_dir) {
    if (is_root) return "/run/preforkd-by-hand";
    if (xdg_runtime_dir == nullptr || *xdg_runtime_dir != '/') return std::nullopt;
    return std::string{xdg_runtime_dir} + "/preforkd";
}

Endpoint control_by_hand(const std::string& directory, std::string_view name) {
    return {.transport = Transport::Unix, .path = fmt::format("{}/{}{}", directory, name, ending)};
}

std::optional<std::string_view> name_by_hand(std::string_view file) {
    if (!file.ends_with(ending) || file.size() == ending.size()) return std::nullopt;
    return file.substr(0, file.size() - ending.size());
}

std::string read_daemon_name(std::string_view text) {
    constexpr std::size_t longest = 40;  // with a directory, a pid and the ending it shall fit into 107 bytes
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
               c == '.';
    };
    const bool fits = !text.empty() && text.size() <= longest && std::all_of(text.begin(), text.end(), allowed);
    if (!fits || text[0] == '.' || text[0] == '-')
        refuse_value(fmt::format("a name of at most {} letters, digits, `_`, `-` and `.`", longest), text);
    return std::string{text};
}

std::string control_place(const std::string& control, const char* runtime_directory) {
    if (!control.empty()) return control;
    const auto there = control_in_runtime_directory(runtime_directory);
    return there ? to_string(*there) : std::string{};
}

}  // namespace preforkd

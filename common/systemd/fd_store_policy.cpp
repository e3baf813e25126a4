#include "common/systemd/fd_store_policy.hpp"

#include <fmt/format.h>

#include <cstdint>

#include "common/base/parse_number.hpp"

namespace preforkd {
namespace {

constexpr std::string_view prefix = "preforkd,";

/// A backslash is legal, but sd_listen_fds_with_names(3) takes it for an escape and gives back another name.
constexpr bool plain(char c) noexcept { return c > 0x20 && c < 0x7f && c != ':' && c != '%' && c != ',' && c != '\\'; }

std::string encoded(std::string_view text) {
    std::string result;
    for (const char c : text)
        if (plain(c))
            result += c;
        else
            result += fmt::format("%{:02x}", static_cast<unsigned char>(c));
    return result;
}

}  // namespace

std::string stored_name(const Endpoint& local, const std::optional<FileIdentity>& file, int queue) {
    std::string name{prefix};
    name += encoded(to_string(local)) + ',';
    if (file) name += fmt::format("{:x}.{:x}", file->device, file->inode);
    if (queue != 0) name += std::to_string(queue);
    return name.size() <= longest_stored_name ? name : "";
}

bool is_stored_name(std::string_view name) noexcept { return name.starts_with(prefix); }

int queue_in_stored_name(std::string_view name) noexcept {
    return is_stored_name(name) ? parse_number<int>(name.substr(name.rfind(',') + 1)).value_or(0) : 0;
}

std::optional<FileIdentity> file_in_stored_name(std::string_view name) noexcept {
    const std::string_view file = name.substr(name.rfind(',') + 1);
    const auto dot = file.find('.');
    if (!is_stored_name(name) || dot == file.npos) return std::nullopt;
    const auto device = parse_number<std::uint64_t>(file.substr(0, dot), 16);
    const auto inode = parse_number<std::uint64_t>(file.substr(dot + 1), 16);
    if (!device || !inode) return std::nullopt;
    return FileIdentity{.device = *device, .inode = *inode};
}

}  // namespace preforkd

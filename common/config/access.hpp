#pragma once
// Who may be a client of a listener: allow=, deny=.  Pure.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/internet_host.hpp"

namespace preforkd {

/// What one of the two keys names.
struct AccessList {
    std::vector<HostPrefix> prefixes{};  ///< clients of the Internet
    std::vector<std::uint32_t> users{};  ///< clients of a Unix socket
    std::vector<std::string> files{};    ///< with more of either, absolute or as the daemon was started

    [[nodiscard]] bool empty() const noexcept { return prefixes.empty() && users.empty() && files.empty(); }
    friend bool operator==(const AccessList&, const AccessList&) = default;
};

/// Reads `192.0.2.0/24,1000,@FILE`.  Throws std::invalid_argument.
[[nodiscard]] AccessList parse_access_list(std::string_view text);
[[nodiscard]] std::string to_string(const AccessList& list);

/// Adds what the text of a file names, a word each; `#` begins a comment.  Throws std::invalid_argument with the number
/// of the line.
void add_access_lines(std::string_view text, AccessList& list);

/// Both keys of a listener, their files included.  The longest prefix that holds a client decides, and of two that are
/// the same the one that denies; whom none holds is admitted unless somebody is allowed by name.
class AccessTable {
public:
    AccessTable(const AccessList& allow, const AccessList& deny);

    /// Admits nobody.
    [[nodiscard]] static AccessTable closed();

    [[nodiscard]] bool admits(const HostAddress& host) const noexcept;
    [[nodiscard]] bool admits_user(std::uint32_t user) const noexcept;
    [[nodiscard]] bool admits_others() const noexcept { return admits_others_; }  ///< who has neither

private:
    /// Of all addresses: those from `first` to the next range.
    struct Range {
        HostAddress first{};
        bool admits = false;
    };

    void lay_out(const AccessList& allow, const AccessList& deny);

    std::vector<Range> ranges_{};  ///< one search, however many lengths of prefixes there are; empty: no prefix
    std::vector<std::uint32_t> allowed_users_{};
    std::vector<std::uint32_t> denied_users_{};
    bool admits_others_ = true;
};

}  // namespace preforkd

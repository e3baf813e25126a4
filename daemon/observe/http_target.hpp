#pragma once
// Where a request of HTTP goes.  Pure.
#include <string>
#include <string_view>

namespace preforkd {

/// What is asked for, and by which name: the one in `http://NAME/PATH` is more than the header Host.
/// Source: RFC 9112, 3.2.2
struct HttpTarget {
    std::string_view name{};  ///< without its port
    std::string_view path{};
};

[[nodiscard]] HttpTarget read_target(std::string_view target, std::string_view host) noexcept;

/// Who may ask by which name: a page of the web whose name is made to lead to this machine (DNS rebinding) reads what
/// is told here with its reader's browser.
struct OwnNames {
    bool any = true;     ///< no browser is led there: a Unix socket, or an address that others reach anyway
    std::string host{};  ///< of the endpoint
};

/// Whether `name` is an address, localhost, or the endpoint's own.
[[nodiscard]] bool is_own(const OwnNames& names, std::string_view name);

}  // namespace preforkd

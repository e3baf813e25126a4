#pragma once
// The page, as it stands in page.html, page.css and page.js, in the program itself.
#include <string_view>

namespace preforkd {

[[nodiscard]] std::string_view page_html() noexcept;
[[nodiscard]] std::string_view page_css() noexcept;
[[nodiscard]] std::string_view page_js() noexcept;

}  // namespace preforkd

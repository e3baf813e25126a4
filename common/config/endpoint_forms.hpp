#pragma once
// Endpoints as somebody writes them who can use some of them only: the others are not offered to him.
#include <string_view>

#include "preforkd/endpoint.hpp"

namespace preforkd {

/// parse_endpoint(), whose sentences offer `forms`: `tcp://HOST:PORT or unix:///PATH`.
[[nodiscard]] Endpoint parse_endpoint(std::string_view text, std::string_view forms);

}  // namespace preforkd

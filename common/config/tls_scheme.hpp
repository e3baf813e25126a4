#pragma once
// Endpoints of TLS, as text: an address, and that TLS is spoken there.  Pure.
#include <string>
#include <string_view>

namespace preforkd {

struct TlsScheme {
    bool tls = false;
    std::string address{};  ///< for parse_endpoint()
    friend bool operator==(const TlsScheme&, const TlsScheme&) = default;
};

/// `tls://X` is TLS at `tcp://X`, `tls+unix://X` at `unix://X`, `tls+fd://X` at `fd://X`; all else is left as it is.
/// Throws std::invalid_argument, with a sentence that offers `forms`, for any other `tls+...://`.
[[nodiscard]] TlsScheme strip_tls(
    std::string_view endpoint_text,
    std::string_view forms = "tls://HOST:PORT, tls+unix:///PATH, tls+unix://@NAME or tls+fd://NAME");

/// The way back: `tls://X` for `tcp://X`, and so on.
[[nodiscard]] std::string add_tls(std::string_view address);

}  // namespace preforkd

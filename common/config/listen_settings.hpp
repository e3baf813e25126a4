#pragma once
// One --listen: `ENDPOINT key=value ...`, as text and as ListenSettings.  Pure.
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/config/settings.hpp"

namespace preforkd {

/// A setting that may stand behind an endpoint: what --help says of it.
struct ListenKey {
    std::string_view name;
    std::string_view argument;    ///< the shape of its value: `N`, `yes|no`
    std::string_view transports;  ///< for which endpoints: `tcp, unix`
    std::string_view meaning;
    bool plain_in_section = false;  ///< there blanks may stand in its value, which is percent-encoded elsewhere
};

[[nodiscard]] std::span<const ListenKey> listen_keys() noexcept;

/// The first key of `settings` that says as what its programs run; empty: none does.
[[nodiscard]] std::string_view process_key_of(const ListenSettings& settings);

/// What is wrong with allow= or deny= if that is `list`, whose clients are known by something else; nullptr: nothing.
[[nodiscard]] const char* why_not_known_by(const AccessList& list, Transport transport, bool is_announced) noexcept;

/// What of `settings` does not fit a socket of `transport`, in a sentence: of one that was passed only that tells.
[[nodiscard]] std::optional<std::string> why_not_for(const ListenSettings& settings, Transport transport);

/// Reads an endpoint and its keys one after the other: each as a line of its own, in a file.  Throws as parse_listen().
class ListenReader {
public:
    explicit ListenReader(std::string_view endpoint);

    /// `value`: as it stands behind an endpoint, without blanks.
    void read(std::string_view key, std::string_view value);

    /// Once all are read: checks what they say together.
    [[nodiscard]] const ListenSettings& finish() const;

private:
    std::string endpoint_;
    ListenSettings settings_{};
    std::vector<std::string> said_{};
};

/// `"ENDPOINT": SENTENCE`, as parse_listen() throws it.
[[noreturn]] void refuse_endpoint(std::string_view endpoint, std::string_view sentence);

/// Reads the words of `text`, which blanks separate.
/// Throws std::invalid_argument with one sentence that names the endpoint, the key and what is expected, to stand
/// behind the name of the option.
[[nodiscard]] ListenSettings parse_listen(std::string_view text);

/// The shortest text that parse_listen() reads back: keys that say nothing new are left out.
[[nodiscard]] std::string to_string(const ListenSettings& settings);

}  // namespace preforkd

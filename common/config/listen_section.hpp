#pragma once
// A section of a file: one --listen in several lines.  Pure.
#include <string>

#include "common/config/config_file.hpp"
#include "common/config/listen_settings.hpp"
#include "common/config/option_origin.hpp"

namespace preforkd {

/// Throws OperatorError that names the line which is wrong.
class ListenSection {
public:
    /// `head`: `[ENDPOINT]`.
    explicit ListenSection(const ConfigLine& head);

    /// `key = value`, below it.
    void read(const ConfigLine& line);

    /// What stands behind --listen to the same effect.
    [[nodiscard]] std::string finish() const;

    [[nodiscard]] const Origin& origin() const noexcept { return origin_; }

private:
    Origin origin_;
    std::string text_;
    ListenReader reader_;
};

}  // namespace preforkd

#pragma once
// The file of --config and those of its directory, read into one text.
#include <functional>
#include <string>

#include "common/config/option_origin.hpp"

namespace preforkd {

/// The file that -C names, and who names it.
struct ConfigFile {
    std::string path{};
    Origin asked_by{};
};

/// What it says, and behind it what FILE.d/*.conf says, see append_config(); `read_next` hears of each before it is
/// read. May take for ever, where their file server is gone.  Throws OperatorError.
[[nodiscard]] std::string read_config(const ConfigFile& file,
                                      const std::function<void(const std::string&)>& read_next = {});

}  // namespace preforkd

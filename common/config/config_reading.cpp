#include "common/config/config_reading.hpp"

#include <fmt/core.h>

#include <stdexcept>
#include <system_error>

#include "common/base/quoted.hpp"
#include "common/config/config_file.hpp"

namespace preforkd {

std::string read_config(const ConfigFile& config, const std::function<void(const std::string&)>& read_next) {
    std::string path = config.path;
    const auto refuse = [&](std::string_view reason, ExitCode code = ExitCode::Configuration,
                            std::string_view remedy = "expected a text file") {
        throw OperatorError{code, fmt::format("{}: cannot read {}: {}; {}", name_at(config.asked_by, "config"),
                                              in_quotes(path), reason, remedy)};
    };
    const auto begin = [&](const std::string& next) {
        path = next;
        if (read_next) read_next(path);
    };
    const auto read = [&](const std::string& file) {
        begin(file);
        std::string text = read_config_file(path);
        require_text(text, path);
        return text;
    };
    try {
        std::string text = read(config.path);
        begin(config.path + ".d");
        for (const std::string& file : config_directory_files(path)) append_config(text, read(file), file);
        return text;
    } catch (const std::system_error& error) {
        const std::string reason = error.code().message();
        if (error.code() == std::errc::permission_denied)
            refuse(reason, ExitCode::Permission, "let the user who starts preforkd read it and enter its directories");
        refuse(reason);
    } catch (const std::logic_error& error) { refuse(error.what()); }
    return {};
}

}  // namespace preforkd

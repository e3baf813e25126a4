#include "common/config/access_reading.hpp"

#include <fmt/core.h>

#include <exception>
#include <stdexcept>
#include <system_error>

#include "common/base/operator_error.hpp"
#include "common/base/quoted.hpp"
#include "common/config/config_file.hpp"
#include "common/config/listen_settings.hpp"
#include "preforkd/log.hpp"

namespace preforkd {
namespace {

constexpr std::size_t largest_list_bytes = std::size_t{16} << 20;

std::string_view remedy_for(const std::error_code& error) {
    if (error == std::errc::permission_denied)
        return "; let the user who starts the daemon read it and enter its directories";
    if (error == std::errc::no_such_file_or_directory) return "; make it, if only an empty one, or name another";
    return "; expected a text file";
}

struct AskedFor {
    const ListenSettings& listen;
    const Origin& by;
};

AccessList with_files(const AccessList& list, const char* key, const AskedFor& asked) {
    const auto refuse = [&](const std::string& file, std::string_view why, std::string_view remedy = {}) {
        throw OperatorError{ExitCode::Configuration,
                            fmt::format("{} {}: {}=@{}: {}{}", name_at(asked.by, "listen"),
                                        to_string(asked.listen.endpoint), key, printable(file), why, remedy)};
    };
    const ListenSettings& listen = asked.listen;
    AccessList whole = list;
    for (const std::string& file : list.files) try {
            add_access_lines(read_config_file(file, largest_list_bytes), whole);
            if (const char* const misfit = why_not_known_by(whole, listen.endpoint.transport, listen.proxy.has_value()))
                throw std::invalid_argument{misfit};
        } catch (const std::system_error& error) {
            refuse(file, error.what(), remedy_for(error.code()));
        } catch (const std::exception& error) { refuse(file, error.what()); }
    return whole;
}

}  // namespace

std::shared_ptr<const AccessTable> read_access(const ListenSettings& listen, const Origin& asked_by) {
    if (listen.allow.empty() && listen.deny.empty()) return nullptr;
    const AskedFor asked{.listen = listen, .by = asked_by};
    return std::make_shared<const AccessTable>(with_files(listen.allow, "allow", asked),
                                               with_files(listen.deny, "deny", asked));
}

std::shared_ptr<const AccessTable> read_access_or_close(const ListenSettings& listen, const Origin& asked_by) {
    try {
        return read_access(listen, asked_by);
    } catch (const OperatorError& error) {
        log(LogLevel::Error, "{cause}; admitting nobody there until a reload succeeds", {{"cause", error.what()}});
        return std::make_shared<const AccessTable>(AccessTable::closed());
    }
}

}  // namespace preforkd

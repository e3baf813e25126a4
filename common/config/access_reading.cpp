#include "common/config/access_reading.hpp"

#include <fmt/core.h>

#include <exception>
#include <stdexcept>

#include "common/base/operator_error.hpp"
#include "common/config/config_file.hpp"
#include "common/config/listen_settings.hpp"
#include "preforkd/log.hpp"

namespace preforkd {
namespace {

constexpr std::size_t largest_list_bytes = std::size_t{16} << 20;

AccessList with_files(const AccessList& list, const char* key, const ListenSettings& listen) {
    AccessList whole = list;
    for (const std::string& file : list.files) try {
            add_access_lines(read_config_file(file, largest_list_bytes), whole);
            if (const char* const misfit = why_not_known_by(whole, listen.endpoint.transport, listen.proxy.has_value()))
                throw std::invalid_argument{misfit};
        } catch (const std::exception& error) {
            throw OperatorError{
                ExitCode::Configuration,
                fmt::format("--listen {}: {}=@{}: {}", to_string(listen.endpoint), key, file, error.what())};
        }
    return whole;
}

}  // namespace

std::shared_ptr<const AccessTable> read_access(const ListenSettings& listen) {
    if (listen.allow.empty() && listen.deny.empty()) return nullptr;
    return std::make_shared<const AccessTable>(with_files(listen.allow, "allow", listen),
                                               with_files(listen.deny, "deny", listen));
}

std::shared_ptr<const AccessTable> read_access_or_close(const ListenSettings& listen) {
    try {
        return read_access(listen);
    } catch (const OperatorError& error) {
        log(LogLevel::Error, "{cause}; admitting nobody there until a reload succeeds", {{"cause", error.what()}});
        return std::make_shared<const AccessTable>(AccessTable::closed());
    }
}

}  // namespace preforkd

#include "common/systemd/libsystemd.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <stdexcept>

#include "common/base/operator_error.hpp"

// As text, for the note below as well.
#define PREFORKD_LIBSYSTEMD "libsystemd.so.0"

namespace preforkd {
namespace {

constexpr auto note_text =
    std::to_array(R"([{"feature":"systemd","description":"Socket activation and the watchdog of systemd",)"
                  R"("priority":"recommended","soname":[")" PREFORKD_LIBSYSTEMD R"("]}])");

alignas(std::uint32_t)
    [[gnu::used, gnu::section(".note.dlopen")]] constexpr DlopenNote<note_text.size()> note{.text = note_text};

}  // namespace

Libsystemd::Libsystemd() {
    try {
        library_.emplace(PREFORKD_LIBSYSTEMD);
        library_->find("sd_listen_fds_with_names", listen_fds_with_names);
        library_->find("sd_is_socket", is_socket);
        library_->find("sd_is_socket_inet", is_socket_inet);
        library_->find("sd_is_socket_unix", is_socket_unix);
        library_->find("sd_watchdog_enabled", watchdog_enabled);
    } catch (const std::runtime_error& error) {
        throw OperatorError{
            ExitCode::System,
            fmt::format("LISTEN_FDS, NOTIFY_SOCKET or WATCHDOG_USEC is set, but systemd's library cannot be loaded: "
                        "{}; install libsystemd0, or unset them",
                        error.what())};
    }
}

}  // namespace preforkd

#include "common/systemd/libsystemd.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <cstdint>

#include "common/base/operator_error.hpp"

// As text, for the note below as well.
#define PREFORKD_LIBSYSTEMD "libsystemd.so.0"

namespace preforkd {
namespace {

constexpr auto note_text =
    std::to_array(R"([{"feature":"systemd","description":"Socket activation and the watchdog of systemd",)"
                  R"("priority":"recommended","soname":[")" PREFORKD_LIBSYSTEMD R"("]}])");

/// Tells packagers that the program loads a library which it is not linked with.
/// Source: https://uapi-group.org/specifications/specs/elf_dlopen_metadata/; elf(5), Notes.
struct DlopenNote {
    std::uint32_t owner_size = sizeof owner;
    std::uint32_t text_size = sizeof text;
    std::uint32_t type = 0x407c0c0a;
    std::array<char, 4> owner{'F', 'D', 'O', '\0'};
    std::array<char, note_text.size()> text = note_text;
};

alignas(std::uint32_t) [[gnu::used, gnu::section(".note.dlopen")]] constexpr DlopenNote note{};

[[noreturn]] void refuse() {
    throw OperatorError{
        ExitCode::System,
        fmt::format("LISTEN_FDS, NOTIFY_SOCKET or WATCHDOG_USEC is set, but systemd's library cannot be loaded: {}; "
                    "install libsystemd0, or unset them",
                    ::dlerror())};
}

template <typename Function>
void find(void* library, const char* name, Function& function) {
    void* const symbol = ::dlsym(library, name);
    if (symbol == nullptr) refuse();
    function = reinterpret_cast<Function>(symbol);
}

}  // namespace

void Libsystemd::Close::operator()(void* library) const noexcept { ::dlclose(library); }

Libsystemd::Libsystemd() : library_{::dlopen(PREFORKD_LIBSYSTEMD, RTLD_NOW | RTLD_LOCAL)} {
    if (!library_) refuse();
    find(library_.get(), "sd_listen_fds_with_names", listen_fds_with_names);
    find(library_.get(), "sd_is_socket", is_socket);
    find(library_.get(), "sd_is_socket_inet", is_socket_inet);
    find(library_.get(), "sd_is_socket_unix", is_socket_unix);
    find(library_.get(), "sd_watchdog_enabled", watchdog_enabled);
}

}  // namespace preforkd

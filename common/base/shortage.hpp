#pragma once
#include <cerrno>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>

namespace preforkd {

/// What an operator does about running out of something, to stand behind strerror; empty for any other error.
[[nodiscard]] constexpr std::string_view shortage_remedy(int error) noexcept {
    switch (error) {
        case EMFILE: return ": raise RLIMIT_NOFILE (systemd: LimitNOFILE=)";
        case ENFILE: return ": raise fs.file-max";
        // Of a call that makes a process or a thread: what else says it is an outcome, not an error.
        case EAGAIN: return ": raise RLIMIT_NPROC, or pids.max of the cgroup (systemd: LimitNPROC=, TasksMax=)";
        case EFBIG: return ": raise RLIMIT_FSIZE (systemd: LimitFSIZE=)";
        case ENOMEM:
        case ENOBUFS: return ": give it more memory (systemd: MemoryMax=)";
        default: return "";
    }
}

/// The same by itself.
[[nodiscard]] constexpr std::string_view what_helps_against(int error) noexcept {
    const std::string_view remedy = shortage_remedy(error);
    return remedy.empty() ? remedy : remedy.substr(std::string_view{": "}.size());
}

static_assert(what_helps_against(ENFILE) == "raise fs.file-max");
static_assert(!shortage_remedy(EMFILE).empty());
static_assert(!shortage_remedy(EAGAIN).empty());
static_assert(shortage_remedy(EACCES).empty());

/// Whether `error` says that something has run out.
[[nodiscard]] inline bool is_shortage(const std::exception& error) noexcept {
    const auto* const system = dynamic_cast<const std::system_error*>(&error);
    return system != nullptr && !shortage_remedy(system->code().value()).empty();
}

/// What an exception says, and the remedy if it was a shortage.
[[nodiscard]] inline std::string with_remedy(const std::exception& error) {
    const auto* const system = dynamic_cast<const std::system_error*>(&error);
    return error.what() + std::string{system != nullptr ? shortage_remedy(system->code().value()) : ""};
}

}  // namespace preforkd

#pragma once
#include <string_view>

namespace preforkd {

/// How a worker runs what it accepted.
enum class Model {
    Async,   ///< coroutines, many connections at once
    Serial,  ///< one after the other
    Thread,  ///< one thread for each
    Fork,    ///< one child process for each
};

[[nodiscard]] constexpr std::string_view to_string(Model model) noexcept {
    switch (model) {
        case Model::Async: return "async";
        case Model::Serial: return "serial";
        case Model::Thread: return "thread";
        case Model::Fork: return "fork";
    }
    return "";
}

}  // namespace preforkd

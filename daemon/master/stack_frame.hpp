#pragma once
// The native stack of a worker, as it reports it when it is aborted.
#include <string>
#include <string_view>

namespace preforkd {

/// One frame, for people: frame 0 is where the thread was.
struct StackFrame {
    std::string number{};
    std::string where{};     ///< FILE+0xOFFSET, as addr2line takes them
    std::string function{};  ///< with its types; empty: it has no name that the loader knows
};

/// Reads what worker/stack_report sends.
[[nodiscard]] StackFrame read_stack_frame(std::string_view text);

}  // namespace preforkd

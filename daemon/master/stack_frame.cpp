#include "daemon/master/stack_frame.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>

namespace preforkd {

namespace {

std::string_view take_line(std::string_view& text) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    return line;
}

/// `upper(char)+0x12` for `_Z5upperc+0x12`.  Here and not in the worker, whose heap may be what it hangs on.
std::string demangle(std::string_view symbol) {
    const std::size_t plus = symbol.rfind('+');
    const std::string name{symbol.substr(0, plus)};
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> words{
        abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), std::free};
    if (status != 0) return std::string{symbol};
    return words.get() + std::string{plus == symbol.npos ? "" : symbol.substr(plus)};
}

}  // namespace

StackFrame read_stack_frame(std::string_view text) {
    StackFrame frame;
    frame.number = take_line(text);
    frame.where = take_line(text);
    frame.function = demangle(text);
    return frame;
}

}  // namespace preforkd

#pragma once
// The handlers that --handler can name.  Light: nothing here needs Boost.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "preforkd/model.hpp"

namespace preforkd {

class StreamHandler;

/// What a handler may want to know of the command line when it is made.
struct HandlerOptions {
    std::string greeting{};  ///< --greeting
};

/// One handler by name.
struct HandlerEntry {
    std::string name{};     ///< as --handler says it
    std::string summary{};  ///< one line for --list-handlers
    Model model = Model::Async;  ///< unless --model says otherwise

    /// Makes the worker's instance, in the worker.  An exception keeps the worker from becoming ready.
    std::function<std::unique_ptr<StreamHandler>(const HandlerOptions&)> make_stream{};
};

/// An ordered set of handlers.
class Handlers {
public:
    /// Adds an entry, in place of one of the same name.
    Handlers& add(HandlerEntry entry);

    /// nullptr if there is none of that name.  Borrowed; valid until the next add().
    [[nodiscard]] const HandlerEntry* find(const std::string& name) const noexcept;

    [[nodiscard]] const std::vector<HandlerEntry>& entries() const noexcept { return entries_; }

private:
    std::vector<HandlerEntry> entries_{};
};

/// greet, print, echo, discard, daytime, chargen.
[[nodiscard]] Handlers builtin_handlers();

}  // namespace preforkd

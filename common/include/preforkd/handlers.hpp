#pragma once
// The handlers that --handler can name.  Light: nothing here needs Boost.
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "preforkd/handler_options.hpp"
#include "preforkd/model.hpp"

namespace preforkd {

class StreamHandler;
class BlockingHandler;
class DatagramHandler;
class AsyncDatagramHandler;

/// Makes the worker's instance, in the worker.  An exception keeps the worker from becoming ready.  One that is of the
/// other transport's kind too serves both: then the entry's other function is not called.
template <class Kind>
using MakeHandler = std::function<std::unique_ptr<Kind>(const HandlerOptions&)>;

/// One handler by name: for stream clients (one of the first two), for datagrams (one of the others), or for both.
struct HandlerEntry {
    std::string name{};               ///< as --handler says it
    std::string summary{};            ///< one line for --list-handlers
    Model model = Model::Async;       ///< unless --model says otherwise
    bool owns_threads = false;        ///< it starts threads of its own, which a fork would lose: refused in model fork
    bool uses_shared_memory = false;  ///< it calls Worker::shared(), whose memory is made before the fork
    bool uses_bus = false;            ///< it calls Worker::bus(), likewise; refused in model fork
    /// It answers any datagram whatever, as echo does, so that two such services could talk to each other for ever, and
    /// what it says could be aimed at others.  Over UDP its replies are then limited in number and in length, unless
    /// `replies-per-source=` and `amplify=` behind the endpoint say otherwise.
    bool answers_any_datagram = false;
    std::vector<Model> models{};           ///< that it allows; empty: all that can serve its kind
    std::string why_models{};              ///< why it allows no other, in a few words for the one who asks for one
    std::vector<HandlerOption> options{};  ///< of its own
    bool forwards = false;                 ///< preforkd's own: it is `forward`, which --to and to= are about

    MakeHandler<StreamHandler> make_stream{};
    MakeHandler<BlockingHandler> make_blocking{};
    MakeHandler<DatagramHandler> make_datagram{};
    MakeHandler<AsyncDatagramHandler> make_async_datagram{};
};

/// An ordered set of handlers.  Where `greet` is not among them, --handler defaults to the first.
class Handlers {
public:
    Handlers() = default;
    Handlers(HandlerEntry entry);  // NOLINT(google-explicit-constructor): run(argc, argv, handler<Upper>("upper"))
    Handlers(std::initializer_list<HandlerEntry> entries);

    /// Adds an entry, in place of one of the same name.
    Handlers& add(HandlerEntry entry);

    /// nullptr if there is none of that name.  Borrowed; valid until the next add().
    [[nodiscard]] const HandlerEntry* find(const std::string& name) const noexcept;

    [[nodiscard]] const std::vector<HandlerEntry>& entries() const noexcept { return entries_; }

private:
    std::vector<HandlerEntry> entries_{};
};

/// greet, print, echo, discard, daytime, chargen, forward.
[[nodiscard]] Handlers builtin_handlers();

}  // namespace preforkd

#pragma once
// Which handler can serve which transport in which model.  Pure.
#include <algorithm>
#include <optional>
#include <string>

#include "preforkd/endpoint.hpp"
#include "preforkd/handlers.hpp"

namespace preforkd {

/// One sentence why `entry` cannot be run in `model`, whatever it serves; nullopt if it can.
[[nodiscard]] inline std::optional<std::string> why_not_in(const HandlerEntry& entry, Model model) {
    if (model == Model::Fork && entry.owns_threads)
        return "handler " + entry.name + " owns threads, which --model fork would lose: use another model";
    if (model == Model::Fork && entry.uses_bus)
        return "handler " + entry.name +
               " uses the bus, which the children of --model fork do not hear: use another model";
    if (entry.models.empty() || std::ranges::find(entry.models, model) != entry.models.end()) return std::nullopt;
    std::string sentence = "handler " + entry.name + " does not allow --model " + std::string{to_string(model)};
    if (!entry.why_models.empty()) sentence += ": " + entry.why_models;
    for (const Model& each : entry.models)
        sentence += (&each == &entry.models.front()  ? "; use "
                     : &each == &entry.models.back() ? " or "
                                                     : ", ") +
                    std::string{to_string(each)};
    return sentence;
}

/// One sentence why `entry` cannot serve `transport` in `model`, naming the option and the remedy; nullopt if it can.
[[nodiscard]] inline std::optional<std::string> why_not(const HandlerEntry& entry, Transport transport, Model model) {
    const bool streams = entry.make_stream || entry.make_blocking;
    const bool datagrams = entry.make_datagram || entry.make_async_datagram;
    if (!is_datagram(transport) && !streams)
        return "handler " + entry.name + " serves datagrams only: give it a udp:// or unixgram:// endpoint";
    if (is_datagram(transport) && !datagrams)
        return "handler " + entry.name + " serves streams only: give it a tcp:// or unix:// endpoint";
    if (!is_datagram(transport) && model == Model::Async && !entry.make_stream)
        return "handler " + entry.name + " blocks, which --model async cannot have: use serial, thread or fork";
    return why_not_in(entry, model);
}

/// The same for a program behind `--`; `asked`: --model, if somebody said it.
[[nodiscard]] inline std::optional<std::string> why_not_program(const std::string& program, Transport transport,
                                                                std::optional<Model> asked) {
    if (is_datagram(transport))
        return "the program " + program +
               " serves connections only: give it a tcp:// or unix:// endpoint, or this endpoint inetd=wait if it "
               "receives datagrams by itself, or a handler=";
    if (asked == Model::Async || asked == Model::Thread)
        return "the program " + program + " is a process for each client, which --model " +
               std::string{to_string(*asked)} + " is not: leave --model away, or use serial for one at a time";
    return std::nullopt;
}

}  // namespace preforkd

#include "daemon/ctl/send.hpp"

#include <fmt/core.h>

#include <exception>
#include <stdexcept>

#include "common/counted.hpp"
#include "common/quoted.hpp"
#include "daemon/ctl/answer.hpp"
#include "daemon/ctl/exchange.hpp"
#include "daemon/ctl/trace.hpp"

namespace preforkd {

void send(const SendRequest& request, const SendChannels& channels) {
    Trace trace{request.verbose ? channels.notes : -1};
    Answer answer{channels.answer, request.expect};
    try {
        if (is_datagram(request.endpoint.transport))
            exchange_datagrams(request, channels, {.answer = answer, .trace = trace});
        else
            exchange_stream(request, channels, {.answer = answer, .trace = trace});
    } catch (const std::exception&) {
        trace.ended();
        throw;
    }
    trace.ended();
    if (request.expect && !answer.is_as_expected())
        throw std::runtime_error{fmt::format("{}: the answer ({}) does not contain --expect {}",
                                             to_string(request.endpoint), counted(trace.received_bytes(), "byte"),
                                             in_quotes(*request.expect))};
}

}  // namespace preforkd

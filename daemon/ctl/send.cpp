#include "daemon/ctl/send.hpp"

#include <fmt/core.h>
#include <sys/stat.h>

#include <exception>
#include <stdexcept>

#include "common/base/counted.hpp"
#include "common/base/quoted.hpp"
#include "common/config/tls_scheme.hpp"
#include "daemon/ctl/answer.hpp"
#include "daemon/ctl/exchange.hpp"
#include "daemon/ctl/trace.hpp"

namespace preforkd {
namespace {

bool is_same_file(int a, int b) {
    struct stat first {};
    struct stat second {};
    return ::fstat(a, &first) == 0 && ::fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

/// An answer need not end with a newline, and is passed on as it is: what is said behind it, in the same terminal or
/// file, begins a line of its own.
void end_the_line(const Answer& answer, const SendChannels& channels) {
    if (!answer.ends_mid_line() || !is_same_file(channels.answer, channels.notes)) return;
    if (::write(channels.notes, "\n", 1) == -1) return;  // then nobody can read the rest either
}

}  // namespace

std::string to_string(const SendRequest& request) {
    const std::string address = to_string(request.endpoint);
    return request.tls ? add_tls(address) : address;
}

void send(const SendRequest& request, const SendChannels& channels) {
    Trace trace{request.verbose ? channels.notes : -1};
    Answer answer{channels.answer, request.expect};
    try {
        if (is_datagram(request.endpoint.transport))
            exchange_datagrams(request, channels, {.answer = answer, .trace = trace});
        else
            exchange_stream(request, channels, {.answer = answer, .trace = trace});
    } catch (const std::exception&) {
        end_the_line(answer, channels);
        trace.ended();
        throw;
    }
    const bool unexpected = request.expect && !answer.is_as_expected();
    if (unexpected || request.verbose) end_the_line(answer, channels);
    trace.ended();
    if (unexpected)
        throw std::runtime_error{fmt::format("{}: the answer ({}) does not contain --expect {}", to_string(request),
                                             counted(trace.received_bytes(), "byte"), in_quotes(*request.expect))};
}

}  // namespace preforkd

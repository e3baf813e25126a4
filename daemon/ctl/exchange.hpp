#pragma once
// The two kinds of conversation.  Both throw std::runtime_error with one sentence.
#include "daemon/ctl/answer.hpp"
#include "daemon/ctl/patience.hpp"
#include "daemon/ctl/send.hpp"
#include "daemon/ctl/trace.hpp"

namespace preforkd {

/// Whom an exchange tells what it hears.  Borrowed.
struct Listening {
    Answer& answer;
    Trace& trace;
};

/// Connects, sends and reads at once, half-closes behind the text, ends where the answer ends or is as expected.
void exchange_stream(const SendRequest& request, const SendChannels& channels, Listening listening);

/// Sends one datagram, and waits for one reply unless request.no_reply.  Only an address that refuses sends it on to
/// the next: where one is silent, the server may have received it.
void exchange_datagrams(const SendRequest& request, const SendChannels& channels, Listening listening);

}  // namespace preforkd

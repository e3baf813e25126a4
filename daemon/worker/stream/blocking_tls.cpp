// BlockingCore, where its client speaks TLS.
#include <sys/socket.h>

#include "daemon/worker/stream/blocking_core.hpp"

namespace preforkd {

/// Calls until it is done, or fails; `limit`: of all waits together, unset: of each what timeout() says.
template <class Call>
TlsResult BlockingCore::finish_tls(const Call& call, Deadline limit) {
    for (;;) {
        if (const auto late = cut_when_late()) return {.kind = TlsResult::Kind::Failed, .error = late};
        const TlsResult result = call();
        if (result.kind != TlsResult::Kind::WantsInput && result.kind != TlsResult::Kind::WantsOutput) return result;
        const For what = result.kind == TlsResult::Kind::WantsInput ? For::Input : For::Output;
        if (const auto vain = limit ? wait_until(limit, what) : wait(what))
            return {.kind = TlsResult::Kind::Failed, .error = vain};
        // Who sends a byte at a time is never waited for in vain.
        if (has_passed(limit, Clock::now()))
            return {.kind = TlsResult::Kind::Failed, .error = std::make_error_code(std::errc::timed_out)};
    }
}

bool BlockingCore::begin_tls(const Listener& listener) {
    tls = std::make_unique<ClientTls>(listener, fd.get());
    const TlsResult result =
        finish_tls([&] { return (*tls)->handshake(); }, deadline_after(Clock::now(), tls->handshake_timeout()));
    if (result.kind == TlsResult::Kind::Done) return true;
    account.failed(ConnectionOutcome::Handshake);
    tls->log_failure(peer(), result.error);
    return false;
}

Received BlockingCore::receive_tls(std::span<std::byte> space) {
    if ((*tls)->output() == TlsStream::Output::Ending) (void)(*tls)->end_output();  // there may be space by now
    const TlsResult got = finish_tls([&] { return (*tls)->read(space); });
    if (got.kind == TlsResult::Kind::Failed) return {.error = failed(got.error)};
    traffic.received(got.bytes);
    account.received(got.bytes);
    return {.bytes = space.first(got.bytes)};  // none at the end
}

/// `sent_bytes`: of them, those that made a record.
std::error_code BlockingCore::send_record(std::span<const std::byte> bytes, bool more, std::size_t& sent_bytes) {
    const TlsResult sent = finish_tls([&] { return (*tls)->write(bytes, more); });
    if (sent.kind == TlsResult::Kind::Failed) return failed(sent.error);
    traffic.sent(sent.bytes);
    account.sent(sent.bytes);
    sent_bytes = sent.bytes;
    return {};
}

std::error_code BlockingCore::send_tls(std::span<const std::byte> bytes, bool more) {
    while (!bytes.empty()) {
        std::size_t sent_bytes = 0;
        if (const auto error = send_record(bytes, more, sent_bytes)) return error;
        bytes = bytes.subspan(sent_bytes);
    }
    return {};
}

std::error_code BlockingCore::send_tls(Gathered parts, bool more) {
    const auto space = std::make_unique_for_overwrite<std::byte[]>(BufferPool::buffer_bytes);
    while (!parts.empty()) {
        std::size_t sent_bytes = 0;
        if (const auto error = send_record(one_record(parts.rest(), space.get()), more, sent_bytes)) return error;
        parts.drop(sent_bytes);
    }
    return {};
}

std::error_code BlockingCore::end_tls() {
    const TlsResult ended = finish_tls([&] { return (*tls)->end_output(); });
    return ended.kind == TlsResult::Kind::Failed ? failed(ended.error) : std::error_code{};
}

}  // namespace preforkd

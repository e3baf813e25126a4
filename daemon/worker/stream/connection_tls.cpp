#include "daemon/worker/stream/connection_tls.hpp"

#include <sys/socket.h>

#include <cerrno>

#include "daemon/worker/stream/gathered.hpp"

namespace preforkd {

namespace {

using Kind = TlsResult::Kind;

[[nodiscard]] bool has_to_wait(const TlsResult& result) {
    return result.kind == Kind::WantsInput || result.kind == Kind::WantsOutput;
}

ConnectionCore::For what_it_wants(const TlsResult& result) {
    return result.kind == Kind::WantsInput ? ConnectionCore::For::Input : ConnectionCore::For::Output;
}

std::error_code shut_down_output(ConnectionCore& core) {
    core.output_ended = true;
    if (::shutdown(core.fd(), SHUT_WR) == 0) return no_error;
    return {errno, std::generic_category()};
}

}  // namespace

awaitable<bool> begin_tls(ConnectionCore& core, const Listener& listener) {
    core.tls = std::make_unique<ClientTls>(listener, core.fd());
    core.operation_timeout = core.tls->handshake_timeout();
    Deadline until;
    TlsResult result = (*core.tls)->handshake();
    while (has_to_wait(result)) {
        std::error_code error = co_await core.wait(ConnectionCore::Side::Reading, what_it_wants(result), until);
        // Who sends a byte at a time is never waited for in vain.
        if (!error && has_passed(until, Clock::now())) error = std::make_error_code(std::errc::timed_out);
        result = error ? TlsResult{.kind = Kind::Failed, .error = error} : (*core.tls)->handshake();
    }
    core.operation_timeout = ConnectionCore::no_operation_timeout;
    const bool went_well = result.kind == Kind::Done;
    if (!went_well) {
        core.account.failed(ConnectionOutcome::Handshake);
        core.tls->log_failure(core.peer(), result.error);
    }
    co_return went_well;
}

awaitable<std::error_code> send_tls(ConnectionCore& core, std::span<const std::byte> bytes, bool more) {
    Deadline until;
    while (!bytes.empty()) {
        if (const auto error = core.why_not_write()) co_return error;
        const TlsResult sent = (*core.tls)->write(bytes, more);
        if (sent.kind == Kind::Done) {
            core.sent(sent.bytes);
            bytes = bytes.subspan(sent.bytes);
            continue;
        }
        if (!has_to_wait(sent)) co_return core.broken(sent.error);
        const std::error_code failed = co_await core.wait(ConnectionCore::Side::Writing, what_it_wants(sent), until);
        if (failed) co_return failed;
    }
    co_return no_error;
}

ConnectionCore::Arrived ConnectionCore::receive_record(std::span<std::byte> space) {
    const TlsResult got = (*tls)->read(space);
    switch (got.kind) {
        case Kind::Done:
            received(got.bytes);
            drained = !(*tls)->has_pending();
            return {.kind = Arrived::Kind::Bytes, .bytes = got.bytes};
        case Kind::WantsInput:
        case Kind::WantsOutput: return {};
        case Kind::End: return {.kind = Arrived::Kind::End};
        case Kind::Failed: break;
    }
    return {.kind = Arrived::Kind::Failed, .error = broken(got.error.value())};
}

ConnectionCore::Sent ConnectionCore::send_record(std::span<const iovec> parts, bool more) {
    Buffer space;
    if (parts.size() > 1) space = loop.buffers.take();
    const TlsResult result = (*tls)->write(one_record(parts, space.get()), more);
    loop.buffers.give_back(std::move(space));
    if (has_to_wait(result)) return {.waits_for = what_it_wants(result)};
    if (result.kind != Kind::Done) return {.error = broken(result.error.value())};
    sent(result.bytes);
    return {.bytes = result.bytes};
}

awaitable<std::error_code> end_tls(ConnectionCore& core) {
    Deadline until;
    TlsResult result = (*core.tls)->end_output();
    while (has_to_wait(result)) {
        const std::error_code error = co_await core.wait(ConnectionCore::Side::Writing, what_it_wants(result), until);
        if (error) co_return error;
        result = (*core.tls)->end_output();
    }
    if (result.kind != Kind::Done) co_return core.broken(result.error);
    co_return shut_down_output(core);
}

std::error_code end_tls_at_once(ConnectionCore& core) {
    const TlsResult result = (*core.tls)->end_output();
    if (has_to_wait(result)) {
        // A client may send nothing more until it has seen our end.
        core.when_writable([](ConnectionCore& waited) { (void)end_tls_at_once(waited); });
        return no_error;
    }
    return result.kind == Kind::Done ? shut_down_output(core) : core.broken(result.error);
}

}  // namespace preforkd

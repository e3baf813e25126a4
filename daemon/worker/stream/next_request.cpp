// Waiting for the next request, which a drain ends.
#include <sys/socket.h>

#include <cerrno>
#include <optional>

#include "daemon/worker/stream/blocking_core.hpp"
#include "daemon/worker/stream/connection_core.hpp"
#include "preforkd/blocking_connection.hpp"
#include "preforkd/connection.hpp"

namespace preforkd {

namespace {

/// nullopt: not yet, and it is to be waited for.  Who was told to leave looks once more, at what has come by then.
std::optional<bool> has_come(ConnectionCore& core) {
    if (!core.unread.empty()) return true;
    const bool last_look = core.loop.is_draining();
    if (last_look) core.drained = false;
    if (const auto filled = try_to_receive(core, Connection::longest_read_bytes)) return filled->more;
    return last_look ? std::optional{false} : std::nullopt;
}

}  // namespace

bool Connection::draining() const noexcept { return core_.loop.is_draining(); }

// As read_some(), where idle connections wait, too.  It takes no turns: what it has taken stays for the next read.
awaitable<bool> Connection::next_request() {
    using Side = ConnectionCore::Side;
    Deadline until;
    std::optional<bool> comes = has_come(core_);
    while (!comes) {
        std::error_code error = core_.begin_idle_wait(until);
        if (!error) {
            ConnectionCore::Wait wait{core_, Side::Reading, core_.wanted_to_read()};
            co_await wait.ended();
            error = core_.end_wait(Side::Reading, ConnectionCore::For::Input);
        }
        comes = error && !core_.loop.is_draining() ? std::optional{false} : has_come(core_);
    }
    co_return *comes;
}

bool BlockingConnection::draining() const noexcept { return core_.asks_whether_draining(); }
bool BlockingConnection::next_request() { return core_.next_request(); }

bool BlockingCore::draining() const noexcept { return how_.stop.draining(); }

/// TLS may have got something that is none of the client's bytes.
BlockingCore::Look BlockingCore::look_for_request() {
    if (tls) {
        const TlsResult seen = (*tls)->peek();
        switch (seen.kind) {
            case TlsResult::Kind::Done: return {.comes = true};
            case TlsResult::Kind::WantsInput: return {.missing = For::Input};
            case TlsResult::Kind::WantsOutput: return {.missing = For::Output};
            case TlsResult::Kind::End: return {.comes = false};
            case TlsResult::Kind::Failed: break;
        }
        (void)failed(seen.error);
        return {.comes = false};
    }
    char first = 0;
    ssize_t seen = 0;
    do seen = ::recv(fd.get(), &first, sizeof first, MSG_PEEK | MSG_DONTWAIT);
    while (seen == -1 && errno == EINTR);
    if (seen >= 0) return {.comes = seen > 0};
    if (errno == EAGAIN) return {};
    (void)failed({errno, std::generic_category()});
    return {.comes = false};
}

bool BlockingCore::next_request() {
    if (flush()) return false;
    if (!unread().empty() || (buffer && buffer->in_avail() > 0)) return true;
    if (const Look look = look_for_request(); look.comes) return *look.comes;
    const IdleWait idle{how_.stop};
    for (;;) {
        const bool last_look = draining();
        const Look look = look_for_request();
        if (look.comes) return *look.comes;
        if (last_look) return false;
        const std::error_code vain = wait_until(deadline_after(Clock::now(), patience), look.missing, Until::Drain);
        if (vain && !draining()) {
            (void)failed(vain);
            return false;
        }
    }
}

}  // namespace preforkd

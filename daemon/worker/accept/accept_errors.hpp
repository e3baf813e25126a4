#pragma once
#include <cerrno>

namespace preforkd {

enum class AcceptVerdict { Wait, Again, Pause, Stop };

/// What an accept(2) error asks of the worker.
///
/// Wait:  nothing is queued; a sibling was faster.  Sleep until woken.
/// Again: only this client is lost: it gave up, or its network failed.  After a
///        few in a row treat it as Pause: an LSM that answers EPERM leaves the
///        connection queued, and accepting again at once would spin.
/// Pause: the machine or this process is out of something.  The connection stays
///        queued, so accepting again at once would spin at 100 % CPU.
/// Stop:  the listener itself is gone.
/// Source: accept(2), ERRORS and "Error handling".
[[nodiscard]] constexpr AcceptVerdict classify_accept_error(int error) noexcept {
    switch (error) {
        case EAGAIN: return AcceptVerdict::Wait;
        case EINTR:
        case ECONNABORTED:
        case EPERM:
        case EPROTO:
        case ETIMEDOUT:
        case ENETDOWN:
        case ENETUNREACH:
        case ENOPROTOOPT:
        case EHOSTDOWN:
        case EHOSTUNREACH:
        case ENONET: return AcceptVerdict::Again;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
        case EOPNOTSUPP: return AcceptVerdict::Pause;
        default: return AcceptVerdict::Stop;
    }
}

static_assert(classify_accept_error(EAGAIN) == AcceptVerdict::Wait);
static_assert(classify_accept_error(EMFILE) == AcceptVerdict::Pause);
static_assert(classify_accept_error(EBADF) == AcceptVerdict::Stop);

}  // namespace preforkd

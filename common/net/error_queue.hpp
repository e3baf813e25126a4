#pragma once

namespace preforkd {

/// Throws away what `socket` keeps in its error queue: ICMP answers, times of transmission, completions of what was
/// sent without a copy.  Who shares a socket can ask for these for everybody (IP_RECVERR, SO_TIMESTAMPING,
/// SO_ZEROCOPY); as long as one is left, epoll_wait(2) and poll(2) report EPOLLERR at once, again and again, and
/// nothing that is read or written takes it away.  Source: recv(2), MSG_ERRQUEUE; ip(7).
void empty_error_queue(int socket) noexcept;

}  // namespace preforkd

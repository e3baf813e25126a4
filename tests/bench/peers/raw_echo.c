// The floor for many open connections: receive what there is, send it back.
//
// raw_echo WORKERS: each worker waits with epoll for the shared listener (exclusively) and for its connections.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "prefork.h"

/// All of it, waiting where the client is slow: a loop this short has no queue for each connection.
static int send_all(int client, const char* bytes, ssize_t size) {
    while (size > 0) {
        ssize_t sent = send(client, bytes, (size_t)size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) return -1;
        if (sent < 0) {
            struct pollfd writable = {.fd = client, .events = POLLOUT};
            poll(&writable, 1, -1);
            continue;
        }
        bytes += sent;
        size -= sent;
    }
    return 0;
}

static void serve(int listener) {
    static char buffer[16 * 1024];  // what preforkd has, too
    unsigned accepted = 0;
    int poll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event wanted = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.fd = listener};
    if (poll_fd < 0 || fcntl(listener, F_SETFL, O_NONBLOCK) || epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &wanted))
        fail("epoll");
    for (;;) {
        struct epoll_event events[128];
        int count = epoll_wait(poll_fd, events, 128, -1);
        for (int each = 0; each < count; ++each) {
            int fd = events[each].data.fd;
            if (fd == listener) {
                int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                struct epoll_event readable = {.events = EPOLLIN, .data.fd = client};
                if (client >= 0) epoll_ctl(poll_fd, EPOLL_CTL_ADD, client, &readable);
                // To the end of the kernel's queue of sleepers, or one worker gets nearly all connections.
                if (client >= 0 && ++accepted % 16 == 0) {
                    epoll_ctl(poll_fd, EPOLL_CTL_DEL, listener, NULL);
                    epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &wanted);
                }
                continue;
            }
            ssize_t got = recv(fd, buffer, sizeof buffer, 0);
            if (got < 0 && errno == EAGAIN) continue;
            if (got <= 0 || send_all(fd, buffer, got)) close(fd);
        }
    }
}

int main(int argc, char** argv) { return prefork(workers_of(argc, argv), SOCK_STREAM, serve); }

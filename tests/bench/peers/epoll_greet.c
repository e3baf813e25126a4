// What an event loop needs to greet, with what has proved cheap: the ring's measure.
//
// epoll_greet WORKERS [all]: each worker waits for the shared listener exclusively, and answers in one segment.  Every
// 16 it goes to the end of the kernel's queue of sleepers, like raw_echo; with `all` it stays where it is, and the
// first worker serves whoever comes while it sleeps.
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "prefork.h"

static int takes_all;

static void serve(int listener) {
    static const char reply[] = "connected\n";
    unsigned accepted = 0;
    int poll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event wanted = {.events = EPOLLIN | EPOLLEXCLUSIVE};
    if (poll_fd < 0 || fcntl(listener, F_SETFL, O_NONBLOCK) || epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &wanted))
        fail("epoll");
    for (;;) {
        struct epoll_event event;
        int client;
        if (epoll_wait(poll_fd, &event, 1, -1) != 1) continue;
        client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client < 0) continue;
        (void)send(client, reply, sizeof reply - 1, MSG_NOSIGNAL | MSG_MORE);
        close(client);  // sends what MSG_MORE has kept, together with the FIN
        if (!takes_all && ++accepted % 16 == 0) {
            epoll_ctl(poll_fd, EPOLL_CTL_DEL, listener, NULL);
            epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &wanted);
        }
    }
}

int main(int argc, char** argv) {
    takes_all = argc > 2 && !strcmp(argv[2], "all");
    return prefork(workers_of(argc, argv), SOCK_STREAM, serve);
}

// The floor for datagrams: receive a batch, send it back, and nothing else.
//
// raw_udp_echo WORKERS: binds a free port of 127.0.0.1, prints it, and forks WORKERS processes that each run recvmmsg
// and sendmmsg on the shared, blocking socket.  SIGTERM ends all.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { batch = 32, longest = 65535, most_workers = 512 };

static void fail(const char* attempt) {
    perror(attempt);
    exit(71);
}

static void serve(int fd) {
    static char buffers[batch][longest + 1];
    static struct sockaddr_in peers[batch];
    static struct iovec payloads[batch];
    static struct mmsghdr headers[batch];
    for (;;) {
        int received;
        for (int each = 0; each < batch; ++each) {
            payloads[each] = (struct iovec){buffers[each], longest};
            headers[each].msg_hdr = (struct msghdr){.msg_name = &peers[each],
                                                    .msg_namelen = sizeof peers[each],
                                                    .msg_iov = &payloads[each],
                                                    .msg_iovlen = 1};
        }
        received = recvmmsg(fd, headers, batch, MSG_WAITFORONE, NULL);
        for (int each = 0; each < received; ++each) payloads[each].iov_len = headers[each].msg_len;
        if (received > 0) (void)sendmmsg(fd, headers, (unsigned)received, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

static volatile sig_atomic_t stopping = 0;

static void stop(int signal_number) {
    (void)signal_number;
    stopping = 1;
}

int main(int argc, char** argv) {
    static pid_t pids[most_workers];
    int workers = argc > 1 ? atoi(argv[1]) : 1;
    int room = 8 << 20;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct sigaction on_term = {.sa_handler = stop};  // no SA_RESTART: it has to interrupt pause()
    if (workers < 1 || workers > most_workers) return 64;
    if (fd < 0 || bind(fd, (struct sockaddr*)&address, size) || getsockname(fd, (struct sockaddr*)&address, &size) ||
        sigaction(SIGTERM, &on_term, NULL))
        fail("bind");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room))
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    for (int worker = 0; worker < workers; ++worker) {
        if ((pids[worker] = fork()) < 0) fail("fork");
        if (pids[worker] != 0) continue;
        signal(SIGTERM, SIG_DFL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(fd);
    }
    printf("udp://127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    while (!stopping) pause();
    for (int worker = 0; worker < workers; ++worker) kill(pids[worker], SIGTERM);
    while (wait(NULL) > 0) {}
    return 0;
}

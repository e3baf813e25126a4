#define _GNU_SOURCE
#include "prefork.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void fail(const char* attempt) {
    perror(attempt);
    exit(71);
}

static pid_t fork_worker(int socket, void (*serve)(int)) {
    pid_t pid = fork();
    if (pid < 0) fail("fork");
    if (pid != 0) return pid;
    signal(SIGTERM, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == 1) _exit(0);  // the parent died before the line above
    serve(socket);
    _exit(70);
}

static volatile sig_atomic_t stopping = 0;

static void stop(int signal_number) {
    (void)signal_number;
    stopping = 1;
}

int prefork(int workers, int type, void (*serve)(int socket)) {
    enum { most_workers = 512 };
    static pid_t pids[most_workers];
    int space = 8 << 20;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct sigaction on_term = {.sa_handler = stop};  // no SA_RESTART: it has to interrupt wait()
    if (workers < 1 || workers > most_workers) return 64;
    if (fd < 0 || bind(fd, (struct sockaddr*)&address, size) || (type == SOCK_STREAM && listen(fd, 4096)) ||
        getsockname(fd, (struct sockaddr*)&address, &size) || sigaction(SIGTERM, &on_term, NULL))
        fail("listen");
    if (type == SOCK_DGRAM && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &space, sizeof space))
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &space, sizeof space);
    for (int worker = 0; worker < workers; ++worker) pids[worker] = fork_worker(fd, serve);
    printf("%s://127.0.0.1:%d\n", type == SOCK_STREAM ? "tcp" : "udp", ntohs(address.sin_port));
    fflush(stdout);
    while (!stopping) {
        pid_t dead = wait(NULL);
        for (int worker = 0; dead > 0 && worker < workers; ++worker)
            if (pids[worker] == dead) pids[worker] = fork_worker(fd, serve);
    }
    for (int worker = 0; worker < workers; ++worker) kill(pids[worker], SIGKILL);
    while (wait(NULL) > 0) continue;
    return 0;
}

// The floor: what the kernel asks for a greeted connection, and nothing else.
//
// raw_greet WORKERS: listens on a free port of 127.0.0.1, prints it, and forks WORKERS processes that each run
// accept, send, close on the shared, blocking socket.  A worker that dies is forked again at once.  SIGTERM ends all.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char* attempt) {
    perror(attempt);
    exit(71);
}

static void serve(int listener) {
    static const char reply[] = "connected\n";
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0) continue;  // the client gave up in the queue; a loop of seven lines has no better answer
        (void)send(client, reply, sizeof reply - 1, MSG_NOSIGNAL);
        close(client);
    }
}

static pid_t fork_worker(int listener) {
    pid_t pid = fork();
    if (pid < 0) fail("fork");
    if (pid != 0) return pid;
    signal(SIGTERM, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == 1) _exit(0);  // the parent died before the line above
    serve(listener);
    _exit(70);
}

static volatile sig_atomic_t stopping = 0;

static void stop(int signal_number) {
    (void)signal_number;
    stopping = 1;
}

int main(int argc, char** argv) {
    enum { most_workers = 512 };
    static pid_t pids[most_workers];
    int workers = argc > 1 ? atoi(argv[1]) : 1;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct sigaction on_term = {.sa_handler = stop};  // no SA_RESTART: it has to interrupt wait()
    if (workers < 1 || workers > most_workers) return 64;
    if (listener < 0 || bind(listener, (struct sockaddr*)&address, size) || listen(listener, 4096) ||
        getsockname(listener, (struct sockaddr*)&address, &size) || sigaction(SIGTERM, &on_term, NULL))
        fail("listen");
    for (int worker = 0; worker < workers; ++worker) pids[worker] = fork_worker(listener);
    printf("tcp://127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    while (!stopping) {
        pid_t dead = wait(NULL);
        for (int worker = 0; dead > 0 && worker < workers; ++worker)
            if (pids[worker] == dead) pids[worker] = fork_worker(listener);
    }
    for (int worker = 0; worker < workers; ++worker) kill(pids[worker], SIGKILL);
    while (wait(NULL) > 0) continue;
    return 0;
}

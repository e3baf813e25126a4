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

static void fork_worker(int listener) {
    pid_t pid = fork();
    if (pid < 0) fail("fork");
    if (pid != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == 1) _exit(0);  // the parent died before the line above
    serve(listener);
}

int main(int argc, char** argv) {
    int workers = argc > 1 ? atoi(argv[1]) : 1;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (listener < 0 || bind(listener, (struct sockaddr*)&address, size) || listen(listener, 4096) ||
        getsockname(listener, (struct sockaddr*)&address, &size))
        fail("listen");
    for (int worker = 0; worker < workers; ++worker) fork_worker(listener);
    printf("tcp://127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    while (wait(NULL) > 0) fork_worker(listener);
    return 0;
}

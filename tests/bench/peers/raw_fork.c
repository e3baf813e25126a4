// The floor for a process for each client.
//
// raw_fork WORKERS: each worker accepts, forks, and lets the child send and exit.
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "prefork.h"

static void serve(int listener) {
    static const char reply[] = "connected\n";
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0) continue;
        if (fork() == 0) {
            (void)send(client, reply, sizeof reply - 1, MSG_NOSIGNAL);
            _exit(0);
        }
        close(client);
        // Those that have ended since the last client; a handler for SIGCHLD would cost more.
        while (waitpid(-1, NULL, WNOHANG) > 0) continue;
    }
}

int main(int argc, char** argv) { return prefork(workers_of(argc, argv), SOCK_STREAM, serve); }

// The floor for a program for each client.
//
// raw_spawn WORKERS PROGRAM [ARG...]: each worker accepts and starts PROGRAM with the client on descriptors 0 and 1.
#define _GNU_SOURCE
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "prefork.h"

static char** program;

static void serve(int listener) {
    for (;;) {
        posix_spawn_file_actions_t actions;
        pid_t child;
        int client = accept(listener, NULL, NULL);
        if (client < 0) continue;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, client, 0);
        posix_spawn_file_actions_adddup2(&actions, client, 1);
        posix_spawn_file_actions_addclose(&actions, client);
        (void)posix_spawn(&child, program[0], &actions, NULL, program, environ);
        posix_spawn_file_actions_destroy(&actions);
        close(client);
        while (waitpid(-1, NULL, WNOHANG) > 0) continue;
    }
}

int main(int argc, char** argv) {
    if (argc < 3) return 64;
    program = argv + 2;
    return prefork(workers_of(argc, argv), SOCK_STREAM, serve);
}

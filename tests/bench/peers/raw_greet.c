// The floor: what the kernel asks of a pre-forked server that says "connected" and a newline, and nothing else.
//
// raw_greet WORKERS: each worker runs accept, send, close on the shared, blocking socket.
#include <sys/socket.h>
#include <unistd.h>

#include "prefork.h"

static void serve(int listener) {
    static const char reply[] = "connected\n";
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0) continue;  // the client gave up in the queue; a loop of seven lines has no better answer
        (void)send(client, reply, sizeof reply - 1, MSG_NOSIGNAL);
        close(client);
    }
}

int main(int argc, char** argv) { return prefork(workers_of(argc, argv), SOCK_STREAM, serve); }

// The floor for a thread for each client.
//
// raw_thread WORKERS: each worker accepts and starts a detached thread that sends and closes.
#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "prefork.h"

static void* greet(void* client) {
    static const char reply[] = "connected\n";
    int fd = (int)(intptr_t)client;
    (void)send(fd, reply, sizeof reply - 1, MSG_NOSIGNAL);
    close(fd);
    return NULL;
}

static void serve(int listener) {
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (;;) {
        pthread_t thread;
        int client = accept(listener, NULL, NULL);
        if (client >= 0 && pthread_create(&thread, &detached, greet, (void*)(intptr_t)client)) close(client);
    }
}

int main(int argc, char** argv) { return prefork(workers_of(argc, argv), SOCK_STREAM, serve); }

#pragma once
// What the raw loops have in common: a socket on a free port of 127.0.0.1, and WORKERS processes that serve it.
#include <stdlib.h>
#include <sys/socket.h>

/// Binds, prints the endpoint, forks `workers` processes that each run `serve`, which does not return, on the shared,
/// blocking socket; forks one again at once when it dies; ends all on SIGTERM.  Returns an exit code.
/// `type`: SOCK_STREAM or SOCK_DGRAM.
int prefork(int workers, int type, void (*serve)(int socket));

/// Prints why and exits.
void fail(const char* attempt) __attribute__((noreturn));

static inline int workers_of(int argc, char** argv) { return argc > 1 ? atoi(argv[1]) : 1; }

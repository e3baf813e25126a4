// The floor with io_uring: a connection is one system call, which sleeps for the next one as well.
//
// ring_greet WORKERS [all]: each worker has one accept that is completed again and again, and answers with a send and a
// close that are linked.  Every 16 it goes to the end of the kernel's queue of sleepers, like raw_echo; with `all` it
// stays where it is, and the first worker serves all clients, busy or not.
#define _GNU_SOURCE
#include "ring.h"

enum { accept_done = 1, leave_done, other_done };

static int takes_all;

static void start_accept(struct io_uring* ring, int listener) {
    struct io_uring_sqe* entry = next_entry(ring);
    io_uring_prep_multishot_accept(entry, listener, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(entry, accept_done);
}

static void end_accept(struct io_uring* ring) {
    struct io_uring_sqe* entry = next_entry(ring);
    io_uring_prep_cancel64(entry, accept_done, 0);
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(entry, leave_done);
}

static void greet(struct io_uring* ring, int client) {
    static const char reply[] = "connected\n";
    struct io_uring_sqe* entry = next_entry(ring);
    // With MSG_MORE the bytes leave together with the FIN: one segment instead of two.
    io_uring_prep_send(entry, client, reply, sizeof reply - 1, MSG_NOSIGNAL | MSG_MORE);
    entry->flags |= IOSQE_IO_HARDLINK | IOSQE_CQE_SKIP_SUCCESS;  // hard: one that has gone is closed, too
    io_uring_sqe_set_data64(entry, other_done);
    entry = next_entry(ring);
    io_uring_prep_close(entry, client);
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(entry, other_done);
}

static void serve(int listener) {
    struct io_uring ring;
    unsigned in_turn = 0;
    open_ring(&ring, 1024);
    start_accept(&ring, listener);
    for (;;) {
        struct io_uring_cqe* done;
        unsigned head, seen = 0;
        io_uring_submit_and_wait(&ring, 1);
        io_uring_for_each_cqe(&ring, head, done) {
            ++seen;
            if (done->user_data != accept_done) continue;
            if (done->res >= 0) {
                greet(&ring, done->res);
                if (!takes_all && ++in_turn == 16) end_accept(&ring);
            }
            if (done->flags & IORING_CQE_F_MORE) continue;
            in_turn = 0;
            start_accept(&ring, listener);
        }
        io_uring_cq_advance(&ring, seen);
    }
}

int main(int argc, char** argv) {
    takes_all = argc > 2 && !strcmp(argv[2], "all");
    return prefork_with_rings(argc, argv, SOCK_STREAM, serve);
}

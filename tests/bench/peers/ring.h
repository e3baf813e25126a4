#pragma once
// What the ring loops have in common: a ring with all that the kernel has made cheaper since, and buffers that it picks
// itself.  Needs Linux 6.1.
#include <errno.h>
#include <liburing.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prefork.h"

/// 0, or an errno.
static inline int try_ring(struct io_uring* ring, unsigned entries) {
    struct io_uring_params wanted = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                              IORING_SETUP_SUBMIT_ALL};
    return -io_uring_queue_init_params(entries, ring, &wanted);
}

/// Of a worker's own: a ring that came through a fork would be its siblings' as well.
static inline void open_ring(struct io_uring* ring, unsigned entries) {
    if ((errno = try_ring(ring, entries))) fail("io_uring_setup");
    (void)io_uring_register_ring_fd(ring);
}

/// Space in the queue, whatever that takes.
static inline struct io_uring_sqe* next_entry(struct io_uring* ring) {
    struct io_uring_sqe* entry = io_uring_get_sqe(ring);
    while (!entry) {
        io_uring_submit(ring);
        entry = io_uring_get_sqe(ring);
    }
    return entry;
}

/// Buffers of one size, from which the kernel takes one when something has arrived.
struct Buffers {
    struct io_uring_buf_ring* ring;
    char* bytes;
    unsigned count, size_bytes;
};

enum { buffer_group = 1 };

static inline char* buffer_at(const struct Buffers* buffers, unsigned index) {
    return buffers->bytes + (size_t)index * buffers->size_bytes;
}

static inline void give_back(struct Buffers* buffers, unsigned index) {
    io_uring_buf_ring_add(buffers->ring, buffer_at(buffers, index), buffers->size_bytes, (unsigned short)index,
                          io_uring_buf_ring_mask(buffers->count), 0);
    io_uring_buf_ring_advance(buffers->ring, 1);
}

/// `count`: a power of two.
static inline struct Buffers register_buffers(struct io_uring* ring, unsigned count, unsigned size_bytes) {
    struct Buffers made = {.count = count, .size_bytes = size_bytes};
    struct io_uring_buf_reg where = {.ring_entries = count, .bgid = buffer_group};
    made.bytes = aligned_alloc(4096, (size_t)count * size_bytes);
    made.ring =
        aligned_alloc(4096, count * sizeof(struct io_uring_buf) < 4096 ? 4096 : count * sizeof(struct io_uring_buf));
    where.ring_addr = (uintptr_t)made.ring;
    if (!made.bytes || !made.ring || (errno = -io_uring_register_buf_ring(ring, &where, 0))) fail("buffers");
    io_uring_buf_ring_init(made.ring);
    for (unsigned each = 0; each < count; ++each) give_back(&made, each);
    return made;
}

static inline unsigned buffer_of(const struct io_uring_cqe* done) { return done->flags >> IORING_CQE_BUFFER_SHIFT; }

/// The main() of a ring loop; --check says in a line why the kernel grants none, or nothing.
static inline int prefork_with_rings(int argc, char** argv, int type, void (*serve)(int socket)) {
    struct io_uring ring;
    const int refused = try_ring(&ring, 4);
    if (refused) {
        fprintf(stderr, "the kernel refuses io_uring: %s\n", strerror(refused));
        return 69;
    }
    io_uring_queue_exit(&ring);
    return argc > 1 && !strcmp(argv[1], "--check") ? 0 : prefork(workers_of(argc, argv), type, serve);
}

// The floor for many open connections with io_uring: all that have something are answered by one system call.
//
// ring_echo WORKERS: one accept, and one receive for each connection, are completed again and again, into buffers of
// which a silent connection has none.
#define _GNU_SOURCE
#include <unistd.h>

#include "ring.h"

enum Operation { accepting, leaving, receiving, sending, closing };
enum { most_fds = 1 << 20, buffer_count = 1024, buffer_bytes = 16 * 1024, nothing = -1 };

/// The buffers that a connection still has to send, in order: more may arrive while its client is slow.
struct Queue {
    short first, last;
    char receives, ended;
};

static struct io_uring ring;
static struct Buffers buffers;
static struct Queue queues[most_fds];  // by descriptor; pages that nobody uses cost nothing
static struct {
    short next;
    unsigned size;
} kept[buffer_count];

static struct io_uring_sqe* begin(enum Operation operation, int fd) {
    struct io_uring_sqe* entry = next_entry(&ring);
    memset(entry, 0, sizeof *entry);
    entry->user_data = (uint64_t)operation << 32 | (unsigned)fd;
    return entry;
}

static void start_accept(int listener) {
    struct io_uring_sqe* entry = begin(accepting, listener);
    entry->opcode = IORING_OP_ACCEPT;
    entry->fd = listener;
    entry->ioprio = IORING_ACCEPT_MULTISHOT;
    entry->accept_flags = SOCK_CLOEXEC;
}

static void end_accept(int listener) {
    struct io_uring_sqe* entry = begin(leaving, listener);
    entry->opcode = IORING_OP_ASYNC_CANCEL;
    entry->addr = (uint64_t)accepting << 32 | (unsigned)listener;
    entry->flags = IOSQE_CQE_SKIP_SUCCESS;
}

static void start_receive(int client) {
    struct io_uring_sqe* entry = begin(receiving, client);
    entry->opcode = IORING_OP_RECV;
    entry->fd = client;
    entry->ioprio = IORING_RECV_MULTISHOT;
    entry->flags = IOSQE_BUFFER_SELECT;
    entry->buf_group = buffer_group;
    queues[client].receives = 1;
}

static void send_first(int client) {
    const int index = queues[client].first;
    struct io_uring_sqe* entry = begin(sending, client);
    entry->opcode = IORING_OP_SEND;
    entry->fd = client;
    entry->addr = (uintptr_t)buffer_at(&buffers, (unsigned)index);
    entry->len = kept[index].size;
    entry->msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
}

static void close_when_done(int client) {
    struct io_uring_sqe* entry;
    if (!queues[client].ended || queues[client].receives || queues[client].first != nothing) return;
    entry = begin(closing, client);
    entry->opcode = IORING_OP_CLOSE;
    entry->fd = client;
    entry->flags = IOSQE_CQE_SKIP_SUCCESS;
}

static void received(int client, const struct io_uring_cqe* done) {
    struct Queue* queue = &queues[client];
    queue->receives = (done->flags & IORING_CQE_F_MORE) != 0;
    if (done->res > 0) {
        const short index = (short)buffer_of(done);
        kept[index].next = nothing;
        kept[index].size = (unsigned)done->res;
        if (queue->first == nothing) {
            queue->first = queue->last = index;
            send_first(client);
        } else {
            kept[queue->last].next = index;
            queue->last = index;
        }
        if (!queue->receives) start_receive(client);
        return;
    }
    if (done->res == -ENOBUFS && !queue->ended) {  // each that is sent gives one back
        start_receive(client);
        return;
    }
    queue->ended = 1;
    close_when_done(client);
}

static void sent(int client, int result) {
    struct Queue* queue = &queues[client];
    const short index = queue->first;
    queue->first = kept[index].next;
    give_back(&buffers, (unsigned)index);
    if (result < (int)kept[index].size && !queue->ended) {  // it has gone; its receive will end as well
        queue->ended = 1;
        shutdown(client, SHUT_RDWR);
    }
    if (queue->first != nothing)
        send_first(client);
    else
        close_when_done(client);
}

static void serve(int listener) {
    unsigned in_turn = 0;
    open_ring(&ring, 4096);
    buffers = register_buffers(&ring, buffer_count, buffer_bytes);
    start_accept(listener);
    for (;;) {
        struct io_uring_cqe* done;
        unsigned head, seen = 0;
        io_uring_submit_and_wait(&ring, 1);
        io_uring_for_each_cqe(&ring, head, done) {
            const int fd = (int)(unsigned)done->user_data;
            ++seen;
            switch ((enum Operation)(done->user_data >> 32)) {
                case accepting:
                    if (done->res >= 0) {
                        queues[done->res] = (struct Queue){.first = nothing, .last = nothing};
                        start_receive(done->res);
                        // To the end of the kernel's queue of sleepers, or one worker gets all connections.
                        if (++in_turn == 16) end_accept(listener);
                    }
                    if (done->flags & IORING_CQE_F_MORE) break;
                    in_turn = 0;
                    start_accept(listener);
                    break;
                case receiving: received(fd, done); break;
                case sending: sent(fd, done->res); break;
                case leaving:
                case closing: break;
            }
        }
        io_uring_cq_advance(&ring, seen);
    }
}

int main(int argc, char** argv) { return prefork_with_rings(argc, argv, SOCK_STREAM, serve); }

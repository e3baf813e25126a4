// The floor for datagrams with io_uring: one receive is completed again and again, and all replies are one system call.
//
// ring_udp_echo WORKERS
#define _GNU_SOURCE
#include <netinet/in.h>

#include "ring.h"

enum { receiving = 1 << 16, buffer_count = 128, longest = 65535 };

static struct io_uring ring;
static struct Buffers buffers;

static void start_receive(int fd, struct msghdr* layout) {
    struct io_uring_sqe* entry = next_entry(&ring);
    io_uring_prep_recvmsg_multishot(entry, fd, layout, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = buffer_group;
    io_uring_sqe_set_data64(entry, receiving);
}

/// The peer's address stands before what it sent, and both are used where they lie.
static void reply(int fd, struct io_uring_recvmsg_out* got, unsigned index, struct msghdr* layout) {
    static struct msghdr headers[buffer_count];
    static struct iovec payloads[buffer_count];
    struct io_uring_sqe* entry = next_entry(&ring);
    payloads[index] = (struct iovec){io_uring_recvmsg_payload(got, layout), got->payloadlen};
    headers[index] = (struct msghdr){.msg_name = io_uring_recvmsg_name(got),
                                     .msg_namelen = got->namelen,
                                     .msg_iov = &payloads[index],
                                     .msg_iovlen = 1};
    io_uring_prep_sendmsg(entry, fd, &headers[index], MSG_NOSIGNAL);
    io_uring_sqe_set_data64(entry, index);
}

static void serve(int fd) {
    struct msghdr layout = {.msg_namelen = sizeof(struct sockaddr_in)};
    open_ring(&ring, 256);
    buffers = register_buffers(&ring, buffer_count, longest + 1 + 4096);
    start_receive(fd, &layout);
    for (;;) {
        struct io_uring_cqe* done;
        unsigned head, seen = 0;
        io_uring_submit_and_wait(&ring, 1);
        io_uring_for_each_cqe(&ring, head, done) {
            ++seen;
            if (done->user_data < buffer_count) {
                give_back(&buffers, (unsigned)done->user_data);
                continue;
            }
            if (done->res >= 0) {
                const unsigned index = buffer_of(done);
                struct io_uring_recvmsg_out* got =
                    io_uring_recvmsg_validate(buffer_at(&buffers, index), done->res, &layout);
                if (got)
                    reply(fd, got, index, &layout);
                else
                    give_back(&buffers, index);
            }
            if (!(done->flags & IORING_CQE_F_MORE)) start_receive(fd, &layout);
        }
        io_uring_cq_advance(&ring, seen);
    }
}

int main(int argc, char** argv) { return prefork_with_rings(argc, argv, SOCK_DGRAM, serve); }

// The floor for datagrams: receive a batch, send it back, and nothing else.
//
// raw_udp_echo WORKERS: each worker runs recvmmsg and sendmmsg on the shared, blocking socket.
#define _GNU_SOURCE
#include <netinet/in.h>
#include <sys/socket.h>

#include "prefork.h"

enum { batch = 32, longest = 65535 };

static void serve(int fd) {
    static char buffers[batch][longest + 1];
    static struct sockaddr_in peers[batch];
    static struct iovec payloads[batch];
    static struct mmsghdr headers[batch];
    for (;;) {
        int received;
        for (int each = 0; each < batch; ++each) {
            payloads[each] = (struct iovec){buffers[each], longest};
            headers[each].msg_hdr = (struct msghdr){.msg_name = &peers[each],
                                                    .msg_namelen = sizeof peers[each],
                                                    .msg_iov = &payloads[each],
                                                    .msg_iovlen = 1};
        }
        received = recvmmsg(fd, headers, batch, MSG_WAITFORONE, NULL);
        for (int each = 0; each < received; ++each) payloads[each].iov_len = headers[each].msg_len;
        if (received > 0) (void)sendmmsg(fd, headers, (unsigned)received, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

int main(int argc, char** argv) { return prefork(workers_of(argc, argv), SOCK_DGRAM, serve); }

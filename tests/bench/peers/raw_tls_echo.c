// The floor for many open connections with TLS: decrypt what there is, send it back.
//
// raw_tls_echo WORKERS CERTIFICATE KEY: raw_echo.c with OpenSSL on each socket.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "prefork.h"

static SSL_CTX* context;

/// Whether `result` of a call says that it is to be made again later; with `wait`, it is later then.
static int again(SSL* ssl, int result, int wait) {
    int error = SSL_get_error(ssl, result);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return 0;
    struct pollfd ready = {.fd = SSL_get_fd(ssl), .events = error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT};
    if (wait) poll(&ready, 1, -1);
    return 1;
}

/// All of it, waiting where the client is slow, as raw_echo.c does.
static int send_all(SSL* ssl, const char* bytes, int size) {
    while (size > 0) {
        ERR_clear_error();
        int sent = SSL_write(ssl, bytes, size);
        if (sent <= 0 && !again(ssl, sent, 1)) return -1;
        if (sent > 0) {
            bytes += sent;
            size -= sent;
        }
    }
    return 0;
}

static void leave(SSL* ssl) {
    int fd = SSL_get_fd(ssl);
    SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
}

static void accept_one(int poll_fd, int listener) {
    int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0) return;
    int on = 1;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // else the first answer waits behind the tickets
    SSL* ssl = SSL_new(context);
    struct epoll_event readable = {.events = EPOLLIN, .data.ptr = ssl};
    SSL_set_fd(ssl, client);
    SSL_set_accept_state(ssl);
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, client, &readable);
}

static void serve(int listener) {
    static char buffer[16 * 1024];  // what preforkd has, too: a whole record
    unsigned accepted = 0;
    int poll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event wanted = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = NULL};
    if (poll_fd < 0 || fcntl(listener, F_SETFL, O_NONBLOCK) || epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &wanted))
        fail("epoll");
    for (;;) {
        struct epoll_event events[128];
        int count = epoll_wait(poll_fd, events, 128, -1);
        for (int each = 0; each < count; ++each) {
            SSL* ssl = events[each].data.ptr;
            if (ssl == NULL) {
                accept_one(poll_fd, listener);
                // To the end of the kernel's queue of sleepers, or one worker gets nearly all connections.
                if (++accepted % 16 == 0) {
                    epoll_ctl(poll_fd, EPOLL_CTL_DEL, listener, NULL);
                    epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &wanted);
                }
                continue;
            }
            ERR_clear_error();
            int got = SSL_read(ssl, buffer, sizeof buffer);  // shakes hands first
            if (got <= 0 ? !again(ssl, got, 0) : send_all(ssl, buffer, got)) leave(ssl);
        }
    }
}

int main(int argc, char** argv) {
    context = SSL_CTX_new(TLS_server_method());
    if (argc != 4 || context == NULL || SSL_CTX_use_certificate_chain_file(context, argv[2]) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, argv[3], SSL_FILETYPE_PEM) != 1) {
        fprintf(stderr, "raw_tls_echo: cannot use that certificate and key\n");
        return 64;
    }
    SSL_CTX_set_mode(context,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return prefork(workers_of(argc, argv), SOCK_STREAM, serve);
}

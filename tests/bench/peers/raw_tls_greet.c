// The floor with TLS: what OpenSSL asks of a pre-forked server that shakes hands, says "connected" and a newline, and
// ends the session.
//
// raw_tls_greet WORKERS CERTIFICATE KEY: one context, made before the fork, so that tickets are good everywhere.
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "prefork.h"

static SSL_CTX* context;

static void serve(int listener) {
    static const char reply[] = "connected\n";
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0) continue;
        SSL* ssl = SSL_new(context);
        if (ssl != NULL && SSL_set_fd(ssl, client) == 1 && SSL_accept(ssl) == 1 &&
            SSL_write(ssl, reply, sizeof reply - 1) > 0)
            SSL_shutdown(ssl);
        SSL_free(ssl);
        shutdown(client, SHUT_WR);
        close(client);
    }
}

int main(int argc, char** argv) {
    context = SSL_CTX_new(TLS_server_method());
    if (argc != 4 || context == NULL || SSL_CTX_use_certificate_chain_file(context, argv[2]) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, argv[3], SSL_FILETYPE_PEM) != 1) {
        fprintf(stderr, "raw_tls_greet: cannot use that certificate and key\n");
        return 64;
    }
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(context, (const unsigned char*)"raw", 3);
    return prefork(workers_of(argc, argv), SOCK_STREAM, serve);
}

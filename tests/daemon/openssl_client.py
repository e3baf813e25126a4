"""A client by way of libssl itself, for what Python does not let a client do: KeyUpdate of TLS 1.3."""
import ctypes
import functools

from clients import connect
from tls_clients import below

REQUESTED = 1  # SSL_KEY_UPDATE_REQUESTED


@functools.cache
def library():
    ssl = ctypes.CDLL("libssl.so.3")
    for name in ("TLS_client_method", "SSL_CTX_new", "SSL_new"):
        getattr(ssl, name).restype = ctypes.c_void_p
    return ssl


class OpensslClient:
    def __init__(self, endpoint):
        self.socket = connect(below(endpoint))
        self.socket.settimeout(None)  # libssl shall wait
        self._ssl = library()
        self._context = ctypes.c_void_p(self._ssl.SSL_CTX_new(ctypes.c_void_p(self._ssl.TLS_client_method())))
        self._connection = ctypes.c_void_p(self._ssl.SSL_new(self._context))
        self._ssl.SSL_set_fd(self._connection, self.socket.fileno())
        assert self._ssl.SSL_connect(self._connection) == 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ssl.SSL_free(self._connection)
        self._ssl.SSL_CTX_free(self._context)
        self.socket.close()

    def sendall(self, data):
        assert self._ssl.SSL_write(self._connection, data, len(data)) == len(data)

    def recv(self, size=1 << 16):
        """b"": the end, in good order or not."""
        space = ctypes.create_string_buffer(size)
        got = self._ssl.SSL_read(self._connection, space, size)
        return space.raw[:max(got, 0)]

    def end(self):
        assert self._ssl.SSL_shutdown(self._connection) >= 0

    def update_key(self, asks_for_one_back=False):
        """Whether it could be sent."""
        return self._ssl.SSL_key_update(self._connection, REQUESTED if asks_for_one_back else 0) == 1 and \
            self._ssl.SSL_do_handshake(self._connection) == 1

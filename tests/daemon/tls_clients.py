"""A client that speaks TLS, in steps: OpenSSL works on memory, so that each end of either direction is the test's to say."""
import contextlib
import select
import socket
import ssl

from clients import PATIENCE, connect

CUT_OFF = (ssl.SSLError, ConnectionResetError)  # what a read comes to without a close_notify


def trusting(authority=None, version=None, pair=None, alpn=(), ciphers=None):
    """What a client believes and offers; authority None: anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # which Python sets
    if authority is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    else:
        context.load_verify_locations(authority.certificate)
    if version:
        context.minimum_version = context.maximum_version = version
    if pair:
        context.load_cert_chain(pair.certificate, pair.key)
    if alpn:
        context.set_alpn_protocols(alpn)
    if ciphers:
        context.set_ciphers(ciphers)
    return context


def below(endpoint):
    """Where TLS is spoken: the endpoint of a client that does not."""
    return endpoint.replace("tls+unix:", "unix:").replace("tls:", "tcp:")


class TlsClient:
    def __init__(self, endpoint, context=None, name="localhost", session=None, first=b"", timeout=PATIENCE, handshake=True):
        """`first`: sent in the clear, before the handshake."""
        self.socket = connect(below(endpoint), timeout)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            self.tls = (context or trusting()).wrap_bio(self._in, self._out, server_hostname=name, session=session)
            self.socket.sendall(first)
            if handshake:
                self.handshake()
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """At once, without a close_notify."""
        self.socket.close()

    def handshake(self):
        self._until_done(self.tls.do_handshake)
        self.flush()

    def _until_done(self, call, *arguments):
        while True:
            try:
                return call(*arguments)
            except ssl.SSLWantReadError:
                self.flush()
                self._receive()
            except ssl.SSLError:
                self.flush()  # the alert
                raise

    def unsent(self):
        """What is to be sent, for a test that sends it in its own way."""
        return self._out.read()

    def flush(self):
        if data := self.unsent():
            self.socket.sendall(data)

    def _receive(self):
        data = self.socket.recv(1 << 16)
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    def sendall(self, data, record=1 << 14):
        for begin in range(0, len(data), record):
            self.tls.write(data[begin:begin + record])
        self.flush()

    def recv(self, size=1 << 16):
        """b"": the server has ended its output by a close_notify; without one it raises CUT_OFF."""
        try:
            return self._until_done(self.tls.read, size)
        except ssl.SSLZeroReturnError:
            return b""

    def end(self, fin=False):
        """Ends our output by a close_notify; reading goes on."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.flush()
        if fin:
            self.socket.shutdown(socket.SHUT_WR)

    def ends(self):
        """Whether the server has ended the connection below TLS, too, without a word behind its close_notify."""
        return self._in.read() == b"" and self.socket.recv(1) == b""

    def swap(self, data):
        """Sends `data` and a close_notify while it reads whatever comes, to its end."""
        for begin in range(0, len(data), 1 << 14):
            self.tls.write(data[begin:begin + (1 << 14)])
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        left, received = memoryview(self._out.read()), []
        self.socket.setblocking(False)
        while True:
            readable, writable, _ = select.select([self.socket], [self.socket] if left else [], [], PATIENCE)
            assert readable or writable, f"nothing moved; {len(left)} bytes are unsent"
            if writable:
                with contextlib.suppress(BlockingIOError):  # a Unix socket may have less space than poll(2) looks for
                    left = left[self.socket.send(left):]
            if readable:
                self._receive()
                try:
                    while chunk := self.tls.read(1 << 16):
                        received.append(chunk)
                    return self._whole(received)
                except ssl.SSLWantReadError:
                    continue
                except ssl.SSLZeroReturnError:
                    assert not left, "it has not waited for all"
                    return self._whole(received)

    def _whole(self, received):
        self.socket.settimeout(PATIENCE)
        return b"".join(received)


def exchange_tls(endpoint, request=b"", context=None, **how):
    """What the classic client does: connect, send, end its output, read the whole answer."""
    with TlsClient(endpoint, context, **how) as client:
        if request:
            client.sendall(request)
        client.end()
        return read_to_end_tls(client)


def read_to_end_tls(client):
    chunks = []
    while chunk := client.recv():
        chunks.append(chunk)
    return b"".join(chunks)

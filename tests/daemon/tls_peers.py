"""Certificates, and servers with TLS that are none of ours: Python's own, and openssl(1)."""
import contextlib
import re
import socket
import ssl
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from activation import endpoint_of, listening


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass
class Pair:
    pem: Path
    key: Path


class Authority:
    """Signs certificates.  Who has none above it signs its own."""

    def __init__(self, directory, name="authority", above=None):
        self._directory = directory
        self._above = above or self
        self.pair = Pair(directory / f"{name}.pem", directory / f"{name}.key")
        self._make(self.pair, name, ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"])

    @property
    def pem(self):
        return str(self.pair.pem)

    def sign(self, name, *alternatives, days=30, usage="serverAuth", subject=None):
        """For `alternatives` such as `DNS:localhost`; by default for localhost.  Its file has those above it, too."""
        pair = Pair(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        alternatives = alternatives or ("DNS:localhost", "IP:127.0.0.1")
        extensions = ["basicConstraints=CA:FALSE", f"extendedKeyUsage={usage}"]
        if alternatives != ("none",):
            extensions.append(f"subjectAltName={','.join(alternatives)}")
        self._make(pair, subject or name, extensions, days)
        if self._above is not self:
            pair.pem.write_text(pair.pem.read_text() + self.pair.pem.read_text())
        return pair

    def _make(self, pair, subject, extensions, days=30):
        """A number of days below zero: it has expired."""
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", pair.key)
        request = pair.key.with_suffix(".csr")
        openssl("req", "-new", "-key", pair.key, "-subj", f"/CN={subject}", "-out", request)
        (config := pair.key.with_suffix(".cnf")).write_text("\n".join(extensions))
        signer = self.pair if pair is not self.pair else self._above.pair
        by = ["-signkey", pair.key] if signer is pair else ["-CA", signer.pem, "-CAkey", signer.key, "-CAcreateserial"]
        openssl("x509", "-req", "-in", request, *by, "-days", days, "-extfile", config, "-out", pair.pem)


def server_context(pair, client_authority=None, alpn=(), version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.pem, pair.key)
    if client_authority:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_authority)
    if alpn:
        context.set_alpn_protocols(alpn)
    if version:
        context.maximum_version = version
    return context


def echo(client):
    while data := client.recv(1 << 16):
        client.sendall(data)


class TlsServer:
    """Serves one client at a time: `serve(client)` behind the handshake, then a close_notify.

    asked_for: the names of SNI.  clients: certificates that were shown.  errors: what went wrong with each client."""

    def __init__(self, context, serve=echo, path=None):
        self.asked_for, self.clients, self.alpn, self.errors = [], [], [], []
        context.sni_callback = lambda _, name, __: self.asked_for.append(name)
        self._context, self._serve = context, serve
        self._bound = listening(path) if path else listening()
        self._bound.settimeout(None)
        address = endpoint_of(self._bound)
        self.endpoint = "tls+" + address if path else address.replace("tcp://127.0.0.1", "tls://localhost")
        self.port = None if path else self._bound.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._bound.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._thread.join()
        self._bound.close()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._bound.accept()
                with client:
                    client.settimeout(10)
                    try:
                        self._talk(client)
                    except (OSError, ValueError) as error:
                        self.errors.append(repr(error))

    def _talk(self, client):
        with self._context.wrap_socket(client, server_side=True, suppress_ragged_eofs=False) as tls:
            self.clients.append(tls.getpeercert())
            self.alpn.append(tls.selected_alpn_protocol())
            self._serve(tls)
            tls.unwrap()


@contextlib.contextmanager
def s_server(pair, *arguments):
    """The endpoint of an openssl(1) that answers each line with the same from its end, or what else `arguments` say."""
    command = ["timeout", "20", "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", pair.pem, "-key", pair.key,
               *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          bufsize=1) as server:
        try:
            for line in server.stdout:
                if found := re.match(r"ACCEPT .*:(\d+)$", line):
                    break
            yield f"tls://localhost:{found[1]}", server
        finally:
            server.terminate()

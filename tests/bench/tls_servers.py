"""Servers whose clients speak TLS 1.3: the raw loops, preforkd, nginx; and proxies before a raw loop."""
import contextlib
import os
import pathlib
import socket
import subprocess
import tempfile

import packages
from peers import Nginx, OnReservedPort, Raw
from servers import Preforkd

KINDS_OF_KEY = {"EC": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "RSA": ["-newkey", "rsa:2048"]}


def make_pair(directory, kind):
    files = [str(pathlib.Path(directory, f"{kind}.{end}")) for end in ("pem", "key")]
    subprocess.run(["openssl", "req", "-x509", "-nodes", *KINDS_OF_KEY[kind], "-subj", "/CN=localhost", "-days", "30", "-out",
                    files[0], "-keyout", files[1]], check=True, capture_output=True)
    return files


class Tls:
    """Mixed into peers and ours."""
    generator = "tls_load"

    def with_pair(self, pair, resume):
        self.pair = pair
        self.generator_options = ["--resume", "yes" if resume else "no"]
        return self


class RawTls(Tls, Raw):
    loop = "raw_tls_greet"

    def argv(self):
        return [*super().argv(), *self.pair]


class RawTlsEcho(RawTls):
    loop = "raw_tls_echo"


class NginxTls(Tls, Nginx):
    def server_block(self):
        certificate, key = self.pair
        return f"""listen 127.0.0.1:{self.port} ssl backlog=4096; ssl_certificate {certificate}; ssl_certificate_key {key};
                   ssl_protocols TLSv1.3; return "connected\\n";"""

    def answers(self):
        return True  # its workers are counted; the generator says whether they answer


class PreforkdTls(Tls, Preforkd):
    keys = ""

    def with_pair(self, pair, resume):
        certificate, key = pair
        self.endpoints = (f"tls://127.0.0.1:0 certificate={certificate} key={key}{self.keys}",)
        return super().with_pair(pair, resume)


class KeyProcess(PreforkdTls):
    """The private key in a process of its own, whose time counts, too."""
    keys = " key-process=yes"

    def __init__(self, *arguments, **how):
        super().__init__(*arguments, **how)
        self.label = f"preforkd {self.model}, key process"


class TlsProxy(Tls, OnReservedPort):
    """Ends the TLS of clients for a raw loop, whose time does not count: it is no child of the proxy."""

    def start(self):
        with contextlib.ExitStack() as begun:
            self.behind = begun.enter_context(Raw(self.workers))
            super().start()
            self.behind_it = begun.pop_all()

    def stop(self):
        super().stop()
        if hasattr(self, "behind_it"):
            self.behind_it.close()

    def must_run(self):
        super().must_run()
        self.behind.must_run()

    def complete(self):
        """The generator says whether it answers."""
        with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
            return True
        return False

    def whole_pair(self):
        """In one file."""
        return self.write("pair.pem", "".join(pathlib.Path(file).read_text() for file in self.pair))


class Haproxy(TlsProxy):
    """Threads of one process."""
    label = "haproxy"

    def argv(self):
        config = self.write("haproxy.cfg", f"""
            global
                nbthread {self.workers}
            defaults
                mode tcp
                timeout connect 10s
                timeout client 10s
                timeout server 10s
            frontend clients
                bind 127.0.0.1:{self.port} ssl crt {self.whole_pair()} ssl-min-ver TLSv1.3 backlog 4096
                default_backend greet
            backend greet
                server raw 127.0.0.1:{self.behind.port}
            """.rstrip(" "))  # the last line has to end as one
        return [packages.program(self.label), "-db", "-q", "-f", config]


class Hitch(TlsProxy):
    label = "hitch"

    def argv(self):
        user = "user = nobody" if os.geteuid() == 0 else ""  # it refuses to work as root
        config = self.write("hitch.conf", f"""
            frontend = {{ host = "127.0.0.1" port = "{self.port}" }}
            backend = "[127.0.0.1]:{self.behind.port}"
            pem-file = "{self.whole_pair()}"
            ocsp-dir = ""
            tls-protos = TLSv1.3
            {user}
            workers = {self.workers}
            backlog = 4096
            """)
        return [packages.program(self.label), f"--config={config}"]


class Stunnel(TlsProxy):
    """A thread for each connection."""
    label = "stunnel"

    @classmethod
    def found(cls):
        return packages.program("stunnel4") is not None

    def argv(self):
        certificate, key = self.pair
        config = self.write("stunnel.conf", f"""
            foreground = yes
            pid =
            syslog = no
            debug = err
            [greet]
            accept = 127.0.0.1:{self.port}
            connect = 127.0.0.1:{self.behind.port}
            cert = {certificate}
            key = {key}
            sslVersion = TLSv1.3
            """)
        return [packages.program("stunnel4"), config]


PROXIES = (Haproxy, Hitch, Stunnel)

"""What stands between a client and its handler: TLS."""
import functools
import pathlib
import subprocess
import tempfile

import turns
from figures import Figure, beside, compared
from packages import ROOT
from peers import Nginx, Raw, found
from servers import Preforkd

PREFORKCTL = ROOT / "build/release/preforkctl"
WORKERS = 2
KINDS_OF_KEY = {"EC": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "RSA": ["-newkey", "rsa:2048"]}


class Tls:
    """A server whose clients speak TLS; mixed into those of peers and ours."""
    generator = "tls_load"

    def with_pair(self, pair, resume):
        self.pair = pair
        self.generator_options = ["--resume", "yes" if resume else "no"]
        return self


class RawTls(Tls, Raw):
    loop = "raw_tls_greet"

    def argv(self):
        return [*super().argv(), *self.pair]


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


def make_pair(directory, kind):
    files = [str(pathlib.Path(directory, f"{kind}.{end}")) for end in ("pem", "key")]
    subprocess.run(["openssl", "req", "-x509", "-nodes", *KINDS_OF_KEY[kind], "-subj", "/CN=localhost", "-days", "30", "-out",
                    files[0], "-keyout", files[1]], check=True, capture_output=True)
    return files


def tls(effort):
    """A handshake, and a greeting behind it."""
    models = ("async",) if effort.quick else ("async", "serial")
    ways = [functools.partial(PreforkdTls, WORKERS, model, linger) for model in models for linger in (False, True)]
    with tempfile.TemporaryDirectory(prefix="preforkd-bench-") as directory:
        for kind in list(KINDS_OF_KEY)[:1] if effort.quick else KINDS_OF_KEY:
            pair = make_pair(directory, kind)
            for resume in (False, True):
                if resume and kind != "EC":
                    continue  # no private key is used
                kinds = [functools.partial(made, WORKERS) for made in [RawTls, *found(NginxTls)]] + ways
                if not resume:  # else no private key is used
                    kinds += [functools.partial(KeyProcess, WORKERS, model) for model in models]
                [readings] = turns.measure_connections(
                    effort, [lambda make=make, pair=pair, resume=resume: make().with_pair(pair, resume) for make in kinds]).values()
                name = f"TLS, {'resumed' if resume else f'full handshake, {kind}'}"
                yield from compared(name, "us CPU/conn", readings, {"": 1.10 if resume else 1.05, "key process": 1.15})
                yield from beside(name, readings, Nginx.label, 1.0)
        yield resumption(effort, make_pair(directory, "EC"))


def resumption(effort, pair):
    """Of clients who take up a session at whichever of eight workers, with a reload and an upgrade in between."""
    control = f"unix://{pathlib.Path(pair[0]).parent}/control.sock"
    kind = functools.partial(PreforkdTls, 8, linger=False, options=["--control", control], provoked="which ran before")
    with kind().with_pair(pair, True) as server:
        load = turns.start_greet_load(server, 4 * effort.connections)
        for order in ("reload", "upgrade"):
            subprocess.run([PREFORKCTL, order, "--control", control], check=True, capture_output=True)
        said = turns.end_greet_load(server, load)
    vain = said["connections"] - said["resumed"] - 1  # the first has nothing to take up
    return Figure(name="TLS, sessions not taken up: 8 workers, a reload, an upgrade", unit="%",
                  value=100 * vain / said["connections"], limit=1)

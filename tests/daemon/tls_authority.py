"""Certificates for tests of TLS, from authorities of their own, made with openssl(1)."""
import subprocess
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

import pytest

CONFIGURATION = """
[ca]
default_ca = own
[own]
database = {directory}/index
serial = {directory}/serial
new_certs_dir = {directory}
certificate = {directory}/ca.pem
private_key = {directory}/ca-key.pem
default_md = sha256
default_days = 30
default_crl_days = 30
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
[root]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[req]
distinguished_name = none
[none]
"""


class Pair(NamedTuple):
    certificate: str
    key: str

    def __str__(self):
        """As it stands behind an endpoint."""
        return f"certificate={self.certificate} key={self.key}"


def openssl(*words, **how):
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, timeout=60, **how)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def _stamp(days):
    return (datetime.now(timezone.utc) + timedelta(days=days)).strftime("%Y%m%d%H%M%SZ")


class Authority:
    """Signs, revokes, and answers for what it has signed."""

    def __init__(self, directory, name="authority"):
        self._directory = directory
        self._configuration = directory / "openssl.cnf"
        self._configuration.write_text(CONFIGURATION.format(directory=directory))
        (directory / "index").touch()
        (directory / "serial").write_text("1000\n")
        self.certificate = str(directory / "ca.pem")
        openssl("req", "-x509", "-config", self._configuration, "-extensions", "root", "-subj", f"/CN={name}",
                *self._new_key("ec"), "-keyout", directory / "ca-key.pem", "-out", self.certificate, "-days", "30")

    @staticmethod
    def _new_key(kind):
        return ["-nodes", "-newkey", *(["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else ["rsa:2048"])]

    def issue(self, file, *names, common_name=None, kind="ec", days=30):
        """A certificate for these host names (`DNS:` or another kind may be said) and its key.  `days`: until it
        expires, negative: since when it has."""
        request, pair = self._directory / f"{file}.csr", Pair(*(str(self._directory / f"{file}{end}.pem") for end in ("", "-key")))
        alternatives = ",".join(name if name.startswith(("IP:", "email:", "URI:")) else f"DNS:{name}" for name in names)
        openssl("req", "-new", "-config", self._configuration, "-subj", f"/CN={common_name or file}", *self._new_key(kind),
                *(["-addext", f"subjectAltName={alternatives}"] if names else []), "-keyout", pair.key, "-out", request)
        openssl("ca", "-batch", "-config", self._configuration, "-in", request, "-out", pair.certificate, "-notext",
                "-startdate", _stamp(min(-1, days - 30)), "-enddate", _stamp(days))
        return pair

    def revoke(self, pair):
        """The list of all that are revoked, with this one."""
        crl = self._directory / "crl.pem"
        openssl("ca", "-config", self._configuration, "-revoke", pair.certificate)
        openssl("ca", "-config", self._configuration, "-gencrl", "-out", crl)
        return str(crl)

    def answer(self, pair):
        """What an OCSP server would say of it, as a file."""
        response = self._directory / "ocsp.der"
        openssl("ocsp", "-index", self._directory / "index", "-CA", self.certificate, "-rsigner", self.certificate,
                "-rkey", self._directory / "ca-key.pem", "-issuer", self.certificate, "-cert", pair.certificate,
                "-ndays", "7", "-respout", response)
        return str(response)


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def pair(authority):
    """A certificate for localhost."""
    return authority.issue("server", "localhost")


@pytest.fixture(scope="session")
def rsa_pair(authority):
    return authority.issue("server-rsa", "localhost", kind="rsa")

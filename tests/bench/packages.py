"""Where Debian's peers are: installed, or else their packages unpacked below build/: an installed nginx or xinetd would
start to serve this machine."""
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
UNPACKED = ROOT / "build/bench/peers"
PACKAGES = ["nginx", "libnginx-mod-stream", "ucspi-tcp", "xinetd", "libwrap0", "socat", "libnet-server-perl", "haproxy",
            "liblua5.3-0", "hitch", "libev4", "stunnel4"]
PROGRAMS = ("nginx", "tcpserver", "xinetd", "socat", "haproxy", "hitch", "stunnel4")
LIBRARIES = UNPACKED / "usr/lib/x86_64-linux-gnu"


def find(*names):
    """The first of these paths that exists, as it is or below UNPACKED; None."""
    for root in (pathlib.Path("/"), UNPACKED):
        for name in names:
            if (root / name).exists():
                return root / name
    return None


def program(name):
    installed = shutil.which(name)
    return pathlib.Path(installed) if installed else find(f"usr/sbin/{name}", f"usr/bin/{name}")


def environment():
    """With the libraries and Perl modules of what was unpacked."""
    return {**os.environ, "LD_LIBRARY_PATH": str(LIBRARIES), "PERL5LIB": str(UNPACKED / "usr/share/perl5")}


def nginx_stream():
    return find("usr/lib/nginx/modules/ngx_stream_module.so")


def perl_net_server():
    return find("usr/share/perl5/Net/Server/PreFork.pm")


def missing():
    peers = {name: program(name) for name in PROGRAMS}
    peers |= {"nginx's stream module": nginx_stream(), "Net::Server": perl_net_server()}
    return [name for name, path in peers.items() if path is None]


def fetch():
    if not missing():
        return
    UNPACKED.mkdir(parents=True, exist_ok=True)
    quiet = {"cwd": UNPACKED, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

    def download(*packages):
        return subprocess.run(["apt-get", "-qq", "download", *packages], **quiet).returncode == 0
    if not download(*PACKAGES):
        if os.geteuid() == 0:
            subprocess.run(["apt-get", "-qq", "update"], **quiet)
        if not download(*PACKAGES):
            for package in PACKAGES:  # with one that is unknown here, apt-get fetches none
                if not any(UNPACKED.glob(f"{package}_*.deb")):
                    download(package)
    for package in UNPACKED.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, UNPACKED], check=True)
    if missing():
        print(f"neither installed nor to be had from apt: {', '.join(missing())}", file=sys.stderr)

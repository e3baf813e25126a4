"""`preforkctl import`: what xinetd and inetd served, as a configuration file."""
import os
import pathlib
import re
import socket

import pytest

from clients import exchange
from datagram_clients import ask as ask_datagram

FILES = pathlib.Path(__file__).parent / "super_servers"
# Users that this machine need not have; and what takes root's rights.
OF_A_USER = re.compile(r"^(run-user|run-group%s) = (?!root\n).*\n" % ("" if os.geteuid() == 0 else "|nice|limit-[a-z]+"), re.MULTILINE)


@pytest.fixture
def imported(preforkctl):
    """What comes of files, as the sections by their heads, with the exit code and what is said of it."""
    def run(*paths, cwd=FILES):
        told = preforkctl("import", *map(str, paths), cwd=cwd)
        told.sections = {head: body.strip().splitlines()
                         for head, body in re.findall(r"^\[(.*)\]\n((?:[a-z].*\n)*)", told.stdout, re.MULTILINE)}
        return told
    return run


@pytest.fixture
def is_accepted(run_preforkd, tmp_path):
    """Whether preforkd takes a text.  Who the programs are is left out: the machine need not have them."""
    def check(text):
        text = re.sub(r"^program = \S+", "program = /bin/cat", OF_A_USER.sub("", text), flags=re.MULTILINE)
        file = tmp_path / "imported.conf"
        file.write_text(text)
        told = run_preforkd("--config", str(file), "--check-config")
        assert told.returncode == 0, told.stderr + text
    return check


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_services_are_served_as_they_were(imported, preforkd, tmp_path):
    """A program for each client, a built-in datagram service, and one that turns this machine away."""
    ports = [free_port(kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_STREAM)]
    directory = tmp_path / "xinetd.d"
    directory.mkdir()
    (tmp_path / "xinetd.conf").write_text(f"defaults\n{{\n bind = 127.0.0.1\n only_from = 127.0.0.0\n}}\nincludedir {directory}\n")
    for name, lines in {
        "upper": f"type=UNLISTED\nport = {ports[0]}\nsocket_type=stream\nwait=no\nserver=/usr/bin/tr\nserver_args = a-z A-Z\ninstances = 50",
        "echo": f"type = INTERNAL UNLISTED\nport = {ports[1]}\nsocket_type = dgram\nwait = yes",
        "closed": f"type=UNLISTED\nport={ports[2]}\nsocket_type=stream\nwait=no\nserver=/bin/cat\nno_access = 127.0.0.1",
        "off.dpkg-old": "broken",
    }.items():
        (directory / name).write_text(f"service {name}\n{{\n{lines}\n}}\n" if "." not in name else lines)
    told = imported(tmp_path / "xinetd.conf")
    assert (told.returncode, told.stderr) == (0, "")
    config = tmp_path / "preforkd.conf"
    config.write_text(told.stdout)
    daemon = preforkd("--config", str(config), listen=None, workers=1)
    by_port = {int(endpoint.rpartition(":")[2]): endpoint for endpoint in daemon.endpoints}
    assert sorted(by_port) == sorted(ports)
    assert exchange(by_port[ports[0]], b"abc") == b"ABC"
    assert ask_datagram(by_port[ports[1]], b"abc") == b"abc"
    with pytest.raises(ConnectionError):
        exchange(by_port[ports[2]], b"abc")


def test_a_program_is_called_as_inetd_called_it(imported, preforkd, tmp_path):
    (tmp_path / "inetd.conf").write_text(f"127.0.0.1:{free_port(socket.SOCK_STREAM)} stream tcp nowait root /bin/sh own-name -c cat</proc/$$/cmdline;:\n")
    told = imported(tmp_path / "inetd.conf")
    config = tmp_path / "preforkd.conf"
    config.write_text(OF_A_USER.sub("", told.stdout))
    daemon = preforkd("--config", str(config), listen=None, workers=1)
    assert exchange(daemon.endpoint, b"").split(b"\0")[0] == b"own-name"


def test_debians_xinetd_has_nothing_switched_on(imported):
    told = imported("xinetd.d")
    assert told.returncode == 65 and told.sections == {}
    assert told.stderr == "preforkctl: import: none of the files has a service that can be served\n"
    assert told.stdout.count(" is disabled, xinetd.d/") == 17


@pytest.mark.parametrize("service", ["echo", "discard", "daytime", "chargen"])
def test_debians_own_services_are_handlers_once_they_are_on(imported, is_accepted, tmp_path, service):
    (tmp_path / service).write_text((FILES / "xinetd.d" / service).read_text().replace("disable\t\t= yes", "disable = no"))
    told = imported(tmp_path / service)
    assert (told.returncode, told.stderr) == (0, "")
    port = {"echo": 7, "discard": 9, "daytime": 13, "chargen": 19}[service]
    assert told.sections == {f"tcp://:{port}": [f"handler = {service}"], f"udp://:{port}": [f"handler = {service}"]}
    is_accepted(told.stdout)


def test_amandas_and_fingers_files(imported, is_accepted):
    told = imported("xinetd.amandaclient", "finger.xinetd")
    assert told.sections == {
        "tcp://0.0.0.0:10080": ["program = /usr/lib/amanda/amandad -auth=bsdtcp amdump senddiscover", "run-user = backup", "run-group = disk"],
        "tcp://:79": ["program = /usr/sbin/in.fingerd -l -w", "run-user = nobody"]}
    assert told.returncode == 65
    assert told.stderr == ("finger.xinetd:11: finger: log_type: all services have one log, where --log-file and --log-format say\n")
    assert told.stderr.strip() in told.stdout
    is_accepted(told.stdout)


def test_debians_inetd_conf(imported, is_accepted):
    told = imported("inetd.conf")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.sections["udp://:517"] == ["program = /usr/sbin/in.talkd", "inetd = wait", "run-user = nobody", "run-group = tty"]
    assert told.sections["tcp://:79"][0] == r'program = /bin/bash -c "exec -a \"$0\" \"$@\"" /usr/sbin/in.fingerd /usr/sbin/tcpd'
    assert "# netbios-ssn is disabled, inetd.conf:2" in told.stdout
    is_accepted(told.stdout)


def test_xinetds_sample(imported, is_accepted):
    """28 services, half of which preforkd has nothing like; what limits clients is in each section that is served."""
    told = imported("sample.conf")
    assert told.returncode == 65
    allowed = "allow = 128.138.193.0/24,128.138.204.0/24,128.138.209.0/24,128.138.243.0/24,127.0.0.1,::1,192.231.139.0/24"
    assert told.sections["tcp://:79"] == ["program = /usr/etc/in.fingerd", "run-user = nobody", "max = 25", allowed]
    assert "allow = 128.138.209.0/24" in told.sections["tcp://:11"]
    assert told.sections["tcp://192.231.139.175:23"][0] == "program = /usr/bin/socat -t 86400 - TCP:128.138.202.20:23"
    assert all(any(line.startswith("allow = ") for line in lines) for lines in told.sections.values())
    for sentence in ("ftp: access_times: preforkd serves at any time", "rstatd: type: preforkd serves no RPC services",
                     "time: type: preforkd has no built-in service \"time\"", "login: log_type: all services have one log"):
        assert re.search(rf"^sample\.conf:\d+: {re.escape(sentence)}", told.stderr, re.MULTILINE), sentence
    for line in told.stderr.splitlines():
        assert f"# {line}\n" in told.stdout
    is_accepted(told.stdout.replace("[tcp://192.231.139.175:23]", "[tcp://127.0.0.2:23]"))


def test_a_file_is_read_once(imported, tmp_path):
    loop = tmp_path / "loop"
    loop.write_text(f"include {loop}\nservice echo\n{{\ntype = INTERNAL\nsocket_type = stream\nwait = no\n}}\n")
    told = imported("loop", loop, tmp_path, cwd=tmp_path)
    assert (told.returncode, list(told.sections)) == (0, ["tcp://:7"])


def test_what_cannot_be_read(imported, preforkctl, tmp_path):
    told = imported(tmp_path / "none")
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == f"preforkctl: import: cannot read {tmp_path}/none: No such file or directory\n"
    (tmp_path / "one").write_text(f"include {tmp_path}/none\n")
    told = imported(tmp_path / "one")
    assert told.returncode == 65 and f"{tmp_path}/one:1: cannot read {tmp_path}/none: No such file or directory\n" in told.stderr
    os.mkfifo(tmp_path / "fifo")
    assert "it is a FIFO" in imported(tmp_path / "fifo").stderr
    told = preforkctl("import")
    assert told.returncode == 64 and "name the files or directories" in told.stderr

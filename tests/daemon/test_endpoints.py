"""Where it listens: socket files and their permissions, names of addresses, several addresses of one name."""
import grp
import os
import socket
import stat
import subprocess

import pytest

import proc
from clients import connect, exchange, port_of, read_to_end


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("mode", ["0600", "0660", "0666", "0777"])
def test_a_unix_socket_has_the_mode_that_was_asked_for(preforkd, tmp_path, mode):
    preforkd("--umask", "0077", listen=f"unix://{tmp_path}/s mode={mode}")
    assert mode_of(tmp_path / "s") == int(mode, 8)


@pytest.mark.root
def test_a_unix_socket_belongs_to_whom_was_asked_for(preforkd, tmp_path):
    group = next(entry for entry in grp.getgrall() if entry.gr_gid != 0)
    preforkd(listen=[f"unix://{tmp_path}/a user=nobody group={group.gr_name}", f"unix://{tmp_path}/b user=12345 group=23456"])
    found = os.stat(tmp_path / "a")
    assert (found.st_uid, found.st_gid) == (65534, group.gr_gid)
    found = os.stat(tmp_path / "b")
    assert (found.st_uid, found.st_gid) == (12345, 23456)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_socket_file_is_removed_at_the_end(preforkd, tmp_path, workers):
    daemon = preforkd(listen=f"unix://{tmp_path}/s", workers=workers)
    assert exchange(f"unix://{tmp_path}/s") == b"connected\n"
    assert daemon.stop() == 0
    assert not (tmp_path / "s").exists()


def test_a_dead_worker_removes_nothing(preforkd, tmp_path):
    daemon = preforkd(listen=f"unix://{tmp_path}/s", workers=2)
    daemon.expect("killed by SIGKILL", "exited with code 0")
    exchange(daemon.endpoint)
    for signo in (9, 15):
        pid = daemon.workers()[0]
        os.kill(pid, signo)
        assert proc.eventually(lambda: pid not in daemon.workers() and len(daemon.workers()) == 2)
        assert exchange(daemon.endpoint) == b"connected\n"


def test_a_socket_file_that_somebody_else_put_there_meanwhile_is_left_alone(preforkd, tmp_path):
    daemon = preforkd(listen=f"unix://{tmp_path}/s")
    os.rename(tmp_path / "s", tmp_path / "moved")
    (tmp_path / "s").write_text("precious")
    assert daemon.stop() == 0
    assert (tmp_path / "s").read_text() == "precious"


def test_a_stale_socket_file_is_replaced(preforkd, tmp_path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{tmp_path}/s")
    preforkd(listen=f"unix://{tmp_path}/s")
    assert exchange(f"unix://{tmp_path}/s") == b"connected\n"


def test_an_abstract_name_leaves_no_file(preforkd, tmp_path):
    name = f"unix://@preforkd-{os.getpid()}-abstract"
    daemon = preforkd(listen=name, cwd=tmp_path)
    assert exchange(name) == b"connected\n"
    assert not [entry for entry in os.listdir(tmp_path) if "abstract" in entry]
    assert daemon.endpoints == [name]


def test_names_of_unix_sockets_may_hold_what_paths_may_hold(preforkd, tmp_path):
    path = tmp_path / "sö-1.@x"
    preforkd(listen=f"unix://{path}")
    assert exchange(f"unix://{path}") == b"connected\n"


def test_a_unix_peer_is_printed_with_its_address(preforkd, tmp_path):
    daemon = preforkd(listen=f"unix://{tmp_path}/s")
    with socket.socket(socket.AF_UNIX) as client:
        client.bind(f"{tmp_path}/client")
        client.settimeout(10)
        client.connect(f"{tmp_path}/s")
        assert read_to_end(client) == b"connected\n"
    daemon.wait_log(f"got connection from {tmp_path}/client")


@pytest.mark.ipv6
def test_an_ipv6_address_stands_in_brackets(preforkd):
    daemon = preforkd(listen="tcp://[::1]:0")
    assert daemon.endpoint.startswith("tcp://[::1]:")
    with connect(daemon.endpoint) as client:
        assert read_to_end(client) == b"connected\n"
        daemon.wait_log(f"got connection from [::1]:{client.getsockname()[1]}")


INSIDE = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]


def greeted(daemon, host):
    told = subprocess.run(["nsenter", "-t", str(daemon.pid), "-n", "nc", "-N", host, str(port_of(daemon.endpoint))],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
    return told.stdout == b"connected\n"


@pytest.mark.root
@pytest.mark.ipv6
@pytest.mark.programs("unshare", "nsenter", "nc", "ip")
def test_an_empty_host_is_ipv4_and_ipv6_and_a_mapped_peer_is_printed_as_ipv4(preforkd):
    daemon = preforkd(listen="tcp://:0", wrap=INSIDE)
    assert greeted(daemon, "127.0.0.1")
    daemon.wait_log("got connection from 127.0.0.1:")
    assert greeted(daemon, "::1")
    daemon.wait_log("got connection from [::1]:")


@pytest.mark.root
@pytest.mark.ipv6
@pytest.mark.programs("unshare", "nsenter", "nc", "ip")
def test_v6only_leaves_ipv4_to_others(preforkd):
    daemon = preforkd(listen="tcp://[::]:0 v6only=yes", wrap=INSIDE)
    assert greeted(daemon, "::1") and not greeted(daemon, "127.0.0.1")


@pytest.mark.root
@pytest.mark.programs("unshare", "nsenter", "nc", "ip")
def test_without_ipv6_an_empty_host_is_ipv4(preforkd):
    """No machine without IPv6 at hand: a namespace where it is disabled on every interface, the loopback too."""
    wrap = ["unshare", "--net", "sh", "-c",
            'ip link set lo up; echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 2>/dev/null; exec "$@"', "sh"]
    daemon = preforkd(listen="tcp://:0", wrap=wrap)
    assert greeted(daemon, "127.0.0.1")


@pytest.mark.mounts
@pytest.mark.ipv6
@pytest.mark.hosts
@pytest.mark.programs("nsenter", "nc", "ip")
def test_port_0_on_several_addresses_is_one_port(preforkd, tmp_path):
    (tmp_path / "hosts").write_text("127.0.0.1 both.test\n::1 both.test\n")
    wrap = ["unshare", "--net", "--mount", "sh", "-c",
            f'ip link set lo up; mount --bind "{tmp_path}/hosts" /etc/hosts; exec "$@"', "sh"]
    daemon = preforkd(listen="tcp://both.test:0", wrap=wrap)
    assert len(daemon.endpoints) == 2
    assert len({port_of(endpoint) for endpoint in daemon.endpoints}) == 1
    assert greeted(daemon, "127.0.0.1") and greeted(daemon, "::1")


def test_a_short_endpoint_is_tcp(run_preforkd):
    assert "tcp://:7" in run_preforkd("--listen", ":7", "--print-config").stdout


def test_a_backlog_that_the_kernel_cuts_is_a_warning(preforkd):
    with open("/proc/sys/net/core/somaxconn") as file:
        most = int(file.read())
    daemon = preforkd(listen=f"tcp://127.0.0.1:0 backlog={most + 1}")
    daemon.expect("backlog")
    assert any(str(most) in entry["message"] and entry["level"] == "warning" for entry in daemon.log.find("backlog"))

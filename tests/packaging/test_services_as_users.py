"""services-as-users.conf: the drop-in by which programs of an endpoint run as other users."""
import re

from places import ROOT
from test_service import UNIT, log_of

DROP_IN = (ROOT / "packaging" / "systemd" / "services-as-users.conf").read_text()
CAP_SYS_RESOURCE = 24
TELL, WAIT = 7101, 7102
SERVICES = f"""
[tcp://127.0.0.1:{TELL}]
program = /bin/sh -c 'id -un; nice; ulimit -n; grep ^CapEff /proc/self/status'
run-user = daemon
nice = -5
limit-nofile = %d

[tcp://127.0.0.1:{WAIT}]
program = /bin/sh -c 'echo $$; exec sleep 1000'
run-user = nobody
"""


def most_open_files(host):
    """More than the unit grants; fewer where this machine itself has no CAP_SYS_RESOURCE, as a container may not."""
    bounding = re.search(r"^CapBnd:\t(\w+)$", host.path("/proc/1/status").read_text(), re.MULTILINE)[1]
    return 524289 if int(bounding, 16) & 1 << CAP_SYS_RESOURCE else 100


def test_programs_run_as_other_users_with_it_alone(host):
    files = most_open_files(host)
    host.write("/etc/preforkd/preforkd.conf.d/services.conf", SERVICES % files)
    cursor = host.cursor()
    assert host.run("systemctl", "restart", UNIT, check=False).returncode != 0
    assert any("run-user=, run-group=: only root can change user" in line and "services-as-users.conf" in line
               for line in log_of(host, UNIT, cursor)), log_of(host, UNIT, cursor)

    host.write(f"/etc/systemd/system/{UNIT}.d/services-as-users.conf", DROP_IN)
    host.run("systemctl", "daemon-reload")
    done = host.run("systemd-analyze", "verify", UNIT, check=False)
    assert (done.stdout, done.stderr) == ("", "")
    cursor = host.cursor()
    assert host.run("systemctl", "restart", UNIT, check=False).returncode == 0, log_of(host, UNIT, cursor)
    assert host.exchange(TELL).decode().split() == ["daemon", "-5", str(files), "CapEff:", "0" * 16]
    with host.connect(WAIT) as client:
        program = int(client.recv(99))
        assert host.run("ps", "-o", "user=", "-p", program).stdout == "nobody\n"
        host.run("preforkctl", "reload")  # which leaves it
        assert host.exchange(TELL).startswith(b"daemon\n")
        master = host.main_pid(UNIT)
        workers = host.path(f"/proc/{master}/task/{master}/children").read_text().split()
        assert workers and host.path(f"/proc/{program}").exists()
        host.run("kill", "-KILL", *[pid for pid in workers if program in children_of(host, pid)])
        assert client.recv(99) == b"", "what a killed worker leaves behind is ended, whoever it is"
    host.run("systemctl", "stop", UNIT)
    refused = [line for line in log_of(host, UNIT, cursor) if "Operation not permitted" in line]
    assert refused == []


def children_of(host, pid):
    return [int(child) for child in host.path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

"""Dropping privileges, in workers, and being sure of it."""
import grp
import os
import pwd

import pytest

import proc
from clients import exchange
from test_bad_input import PERMISSION, is_one_sentence

pytestmark = [pytest.mark.root, pytest.mark.programs("setpriv")]


def identity(pid):
    """(real, effective, saved, file system) uid and gid, groups and no_new_privs of a process."""
    fields = proc.status(pid)
    return (fields["Uid"].split(), fields["Gid"].split(), sorted(map(int, fields["Groups"].split())), fields["NoNewPrivs"])


@pytest.fixture
def nobody():
    return pwd.getpwnam("nobody")


def groups_of(user):
    return sorted({user.pw_gid} | {group.gr_gid for group in grp.getgrall() if user.pw_name in group.gr_mem})


def test_workers_become_the_user_and_cannot_go_back(preforkd, nobody):
    daemon = preforkd("--user", "nobody", workers=2)
    for pid in daemon.workers():
        uids, gids, groups, no_new_privileges = identity(pid)
        assert uids == [str(nobody.pw_uid)] * 4
        assert gids == [str(nobody.pw_gid)] * 4
        assert groups == groups_of(nobody), "its own supplementary groups and none of root's"
        assert no_new_privileges == "1"
        assert int(proc.status(pid)["CapEff"], 16) == int(proc.status(pid)["CapPrm"], 16) == 0
    assert proc.status(daemon.pid)["Uid"].split()[0] == "0", "the master stays what it is"
    assert exchange(daemon.endpoint) == b"connected\n"


def test_the_group_is_the_one_asked_for(preforkd, nobody):
    group = next(entry for entry in grp.getgrall() if entry.gr_gid not in (0, nobody.pw_gid))
    daemon = preforkd("--user", "nobody", "--group", group.gr_name, workers=1)
    uids, gids, _, _ = identity(daemon.workers()[0])
    assert uids == [str(nobody.pw_uid)] * 4 and gids == [str(group.gr_gid)] * 4


def test_numbers_are_users_too(preforkd):
    daemon = preforkd("--user", "12345", "--group", "23456", workers=1)
    uids, gids, groups, _ = identity(daemon.workers()[0])
    assert (uids, gids) == (["12345"] * 4, ["23456"] * 4)
    assert set(groups) <= {23456}


def test_a_replacement_drops_them_too(preforkd, nobody):
    daemon = preforkd("--user", "nobody", workers=1)
    daemon.expect("killed by SIGKILL")
    exchange(daemon.endpoint)
    first = daemon.workers()[0]
    os.kill(first, 9)
    replaced = proc.eventually(lambda: [pid for pid in daemon.workers() if pid != first])
    assert exchange(daemon.endpoint) == b"connected\n"
    assert identity(replaced[0])[0] == [str(nobody.pw_uid)] * 4


def test_a_dropped_pool_is_still_supervised_and_stopped(preforkd):
    """Another user's processes: the master must still be able to signal them, and they to write the log."""
    daemon = preforkd("--user", "nobody", "--handler", "print", workers=3)
    exchange(daemon.endpoint, b"hello from client")
    daemon.wait_log("hello from client")
    assert daemon.stop() == 0


def test_without_workers_the_process_itself_drops_them(preforkd, nobody):
    daemon = preforkd("--user", "nobody", workers=0)
    assert identity(daemon.pid)[0] == [str(nobody.pw_uid)] * 4
    assert exchange(daemon.endpoint) == b"connected\n"


def test_chdir_and_umask(preforkd, tmp_path):
    (tmp_path / "there").mkdir()
    daemon = preforkd("--chdir", str(tmp_path / "there"), "--umask", "0027", workers=1)
    worker = daemon.workers()[0]
    assert os.readlink(f"/proc/{worker}/cwd") == str(tmp_path / "there")
    assert proc.status(worker)["Umask"].strip() == "0027"


WHO_STARTED_US = {"HOME": "/root", "USER": "root", "LOGNAME": "root", "SHELL": "/bin/false", "MAIL": "/var/mail/root",
                  "SUDO_USER": "admin", "SUDO_COMMAND": "preforkd", "XDG_DATA_HOME": "/root/.data", "KEPT": "as it was"}
OF_A_USER = ("HOME", "USER", "LOGNAME", "SHELL", "MAIL", "KEPT")


def environment_of_a_program(preforkd, *options):
    daemon = preforkd(*options, "--", "/usr/bin/env", env=WHO_STARTED_US)
    told = dict(line.split("=", 1) for line in exchange(daemon.endpoint).decode().splitlines())
    return {name: value for name, value in told.items() if name in OF_A_USER or name.startswith(("SUDO_", "XDG_"))}


def test_the_environment_is_that_of_the_user(preforkd, nobody):
    assert environment_of_a_program(preforkd, "--user", "nobody") == {
        "HOME": nobody.pw_dir, "USER": "nobody", "LOGNAME": "nobody", "SHELL": nobody.pw_shell,
        "MAIL": "/var/mail/nobody", "KEPT": "as it was"}
    assert environment_of_a_program(preforkd, "--user", "12345") == {"HOME": "/", "KEPT": "as it was"}
    as_started = environment_of_a_program(preforkd)
    assert {name: as_started.get(name) for name in WHO_STARTED_US} == WHO_STARTED_US


def warned_about_root(daemon):
    return daemon.log.find(lambda entry: "root" in entry["message"] and "--user" in entry["message"])


def test_root_without_a_user_is_told_once(preforkd):
    daemon = preforkd(workers=3)
    exchange(daemon.endpoint)
    assert len(warned_about_root(daemon)) == 1
    told = preforkd("--user", "nobody")
    assert not warned_about_root(told)


@pytest.mark.parametrize("taken, named", [("-setuid,-setgid,-kill", "CAP_SETUID, CAP_SETGID, CAP_KILL"),
                                          ("-setgid", "CAP_SETGID"), ("-kill", "CAP_KILL")])
def test_a_root_without_the_capabilities_is_told_which(run_preforkd, taken, named):
    told = run_preforkd("--listen", "tcp://127.0.0.1:0", "--user", "12345",
                        wrap=["setpriv", "--bounding-set", taken, "--inh-caps", taken])
    is_one_sentence(told, PERMISSION, ["--user", f"this root has no {named}:", "--cap-add"])


def test_a_user_that_may_not_change_is_told_so(run_preforkd):
    told = run_preforkd("--listen", "tcp://127.0.0.1:0", "--user", "root",
                        wrap=["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"])
    assert told.returncode in (77, 69), told.stderr
    assert "--user" in told.stderr and len(told.stderr.strip().splitlines()) == 1

"""The units keep what they may do to a minimum, and systemd understands them."""
import subprocess

import pytest

from places import ROOT

UNITS = ROOT / "packaging" / "systemd"
# systemd-analyze's unit is a tenth of what it prints.
LIMITS = [("preforkd.service", 12), ("preforkd@.service", 5)]


def security(unit, limit):
    return subprocess.run(["systemd-analyze", "security", "--offline=true", f"--threshold={limit}", unit],
                          capture_output=True, text=True)


@pytest.mark.parametrize("unit, limit", LIMITS)
def test_a_unit_is_exposed_no_more_than_it_must(unit, limit):
    done = security(UNITS / unit, limit)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Overall exposure level" in done.stdout


@pytest.mark.parametrize("unit, limit", LIMITS)
def test_a_unit_that_may_more_is_found(tmp_path, unit, limit):
    text = (UNITS / unit).read_text().replace("NoNewPrivileges=yes", "").replace("CapabilityBoundingSet=", "").replace(
        "RestrictAddressFamilies=", "#")
    (tmp_path / unit).write_text(text)
    assert security(tmp_path / unit, limit).returncode != 0


def verify(machine, unit):
    return machine.run("systemd-analyze", "verify", unit, check=False)


@pytest.mark.parametrize("unit", ["preforkd.service", "preforkd.socket", "preforkd@web.service", "preforkd@web.socket",
                                  "preforkd-observe@web.socket"])
def test_systemd_understands_a_unit(host, unit):
    done = verify(host, unit)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_wrong_setting_in_a_unit_is_found(host):
    host.write("/root/planted.service", (UNITS / "preforkd.service").read_text().replace("mixed", "gently"))
    assert "kill mode" in verify(host, "/root/planted.service").stderr


def test_systemd_understands_the_choice_of_notify_reload(host):
    """Type=notify-reload is newer than Debian 12's systemd: everything else about the drop-in can be tried here."""
    drop_in = (UNITS / "notify-reload.conf").read_text()
    assert "Type=notify-reload" in drop_in
    host.write("/etc/systemd/system/preforkd.service.d/notify-reload.conf", drop_in.replace("notify-reload", "notify"))
    host.run("systemctl", "daemon-reload")
    assert (host.show("preforkd.service", "ExecReload"), verify(host, "preforkd.service").stderr) == ("", "")

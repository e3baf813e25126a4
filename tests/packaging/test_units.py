"""The units keep what they may do to a minimum."""
import subprocess

import pytest

from conftest import ROOT

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

"""Ring 4: the packages as a user installs them, under a real systemd and in real containers.

PREFORKD_PACKAGES names the directory of the .debs, PREFORKD_BUILD the build directory.  `./dev test packaging` makes
both, `./dev test containers` the second.  Where CI=true nothing here may be skipped: a skip counts as a failure."""
import os
import shutil

import pytest

from machine import Machine
from places import PACKAGES


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {report.longrepr[2]}"


@pytest.fixture(scope="session")
def package():
    """The path of a package that `./dev package` has built, by its name."""
    def find(name):
        found = list(PACKAGES.glob(f"{name}_*.deb"))
        assert len(found) == 1, f"build it first, with ./dev package: {PACKAGES}/{name}_*.deb"
        return found[0]
    return find


@pytest.fixture(scope="session")
def machine(tmp_path_factory):
    """One machine for all tests; `host` makes it fit for each."""
    booted = Machine(tmp_path_factory.mktemp("machine"))
    yield booted
    booted.close()


@pytest.fixture
def host(machine, package):
    """The machine with the package installed and all as the package has it: the service runs, nothing is adapted."""
    shutil.copy(package("preforkd"), machine.path("/root/preforkd.deb"))
    machine.shell("""
        systemctl stop 'preforkd*' || true
        rm -rf /etc/systemd/system/preforkd*
        systemctl daemon-reload
        systemctl reset-failed
        find /etc/preforkd -type f ! -name preforkd.conf -delete || true
        dpkg --status preforkd 2>/dev/null | grep -q '^Status: install ok installed' || dpkg --install /root/preforkd.deb
        cp /root/preforkd.conf /etc/preforkd/ 2>/dev/null || cp /etc/preforkd/preforkd.conf /root/
        systemctl start preforkd.service""")
    return machine

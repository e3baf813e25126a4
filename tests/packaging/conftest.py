"""Ring 4: the packages as a user installs them, under a real systemd and in real containers.

PREFORKD_PACKAGES names the directory of the .debs, PREFORKD_BUILD the build directory.  `./dev test packaging` makes
both.  Where CI=true nothing here may be skipped: a skip counts as a failure."""
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = Path(os.environ.get("PREFORKD_PACKAGES") or ROOT / "build" / "package").resolve()


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

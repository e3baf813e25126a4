"""./dev names mistakes, shows that it goes on, is quiet about what passes, and can be interrupted."""
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SCRIPTS = sorted(file for file in [ROOT / "dev", ROOT / ".ci/run", *ROOT.glob("tests/**/*.sh"), *ROOT.glob("packaging/*/*")]
                 if file.suffix == ".sh" or (file.is_file() and re.match(rb"#!/bin/(ba)?sh\b", file.read_bytes())))


def dev(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run([ROOT / "dev", *arguments], capture_output=True, text=True)


@pytest.mark.parametrize("arguments, mistake", [(["rnu"], "'rnu': run test "), (["test", "unti"], "'unti': unit process "),
                                                (["build", "relaese"], "'relaese': release debug ")])
def test_a_mistake_is_named_with_what_there_is(arguments, mistake):
    told = dev(*arguments)
    assert told.returncode == 64 and mistake in told.stderr and told.stderr.count("\n") == 1, told.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=[str(script.relative_to(ROOT)) for script in SCRIPTS])
def test_a_shell_script_is_accepted_by_shellcheck(script):
    told = subprocess.run(["shellcheck", "--external-sources", script], cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr


class Logged:
    """A bash that has sourced what ./dev sources, in a process group of its own; its `root` is a directory of the test."""

    def __init__(self, directory, script):
        self.log = directory / "build/log/part.log"
        sourced = f"set -euo pipefail; root={directory}; . {ROOT}/tests/progress.sh; . {ROOT}/tests/run.sh"
        self._shell = subprocess.Popen(["bash", "-c", f"{sourced}\n{script}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, text=True, start_new_session=True,
                                       preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))

    def line(self):
        return self._shell.stdout.readline()

    def go_on(self):
        self._shell.stdin.write("\n")
        self._shell.stdin.flush()

    def interrupt(self):
        os.killpg(self._shell.pid, signal.SIGINT)

    def rest(self):
        return self._shell.stdout.read(), self._shell.wait(20)


def test_what_runs_for_long_is_told_of_also_within_a_line(tmp_path):
    shell = Logged(tmp_path, "progress_every=1\n"
                             "work() { say building; echo '[81/155] Building'; read -r; printf 'test_half '; read -r; }; logged part work")
    assert shell.line() == "dev: building\n"
    assert re.fullmatch(r"dev: +\d+ s  \[81/155\] Building\n", shell.line())
    shell.go_on()
    assert re.fullmatch(r"dev: +\d+ s  test_half \n", shell.line())
    shell.go_on()
    assert shell.rest()[1] == 0
    assert shell.log.read_text() == "dev: building\n[81/155] Building\ntest_half "


def test_what_passes_is_quiet_but_for_warnings_skips_and_tables(tmp_path):
    shell = Logged(tmp_path, "work() { echo '{\"level\":\"error\"}'; echo a.cpp:1:2: warning: odd; echo 'SKIPPED [1] a: no root'; "
                             "echo '| an update | nobody |'; }\nlogged part work")
    assert shell.rest() == ("a.cpp:1:2: warning: odd\nSKIPPED [1] a: no root\n| an update | nobody |\n", 0)


def test_what_fails_is_shown_without_what_passed(tmp_path):
    shell = Logged(tmp_path, "work() { echo '[1/2] Building'; echo 'a.py::b PASSED [ 50%]'; echo 'a.py:7: wrong'; return 3; }\n"
                             "logged part work || echo $?")
    assert shell.rest() == ("a.py:7: wrong\ndev: failed; everything that was printed is in build/log/part.log\n1\n", 0)


def test_an_interrupted_program_may_clean_up_and_nothing_more_is_begun(tmp_path):
    program = "import signal, sys\ntry: print('dev: up', flush=True); signal.pause()\nexcept KeyboardInterrupt: print('cleaned up'); sys.exit(2)"
    shell = Logged(tmp_path, f'logged part python3 -c "{program}" || true\necho begun')
    assert shell.line() == "dev: up\n"
    shell.interrupt()
    assert shell.rest() == ("", -signal.SIGINT)
    assert shell.log.read_text() == "dev: up\ncleaned up\n"


@pytest.mark.parametrize("status, left", [(0, set()), (1, {"all", "alone"})])
def test_what_tests_leave_is_kept_where_one_fails(tmp_path, status, left):
    """A tree with one suite, and in the place of pytest what makes the directory that it is told, and ends."""
    (tmp_path / "python").write_text(f"""#!/bin/sh
        for argument; do case $argument in --basetemp=*) mkdir "${{argument#*=}}" ;; esac; done; exit {status}""")
    (tmp_path / "python").chmod(0o755)
    shell = Logged(tmp_path, f"export TMPDIR={tmp_path}; python={tmp_path}/python; run_pytest style || true; "
                             f"find {tmp_path} -mindepth 2 -maxdepth 2 -path '*preforkd-tests*' -printf '%f '")
    told, _ = shell.rest()
    assert set(told.split("\n")[-1].split()) == left and ("have left" in told) == bool(left), told


@pytest.mark.parametrize("losers, asked, result", [
    (1, "", "passed; only alone: tests/a/test_race.py::test_won_alone[0]"), (3, "", "passed; only alone: "),
    (4, "", "FAILED (build/log/style.log)"),  # no race, then
    (1, "style", "FAILED (build/log/style.log)")])
def test_a_test_that_passes_alone_only_keeps_nobody_back_and_is_named(tmp_path, losers, asked, result):
    (tmp_path / "tests/a").mkdir(parents=True)
    (tmp_path / "tests/a/test_race.py").write_text(f"""import pathlib, pytest
@pytest.mark.parametrize("number", range({losers}))
def test_won_alone(number):
    tried = pathlib.Path(__file__).with_name(f"tried-{{number}}")
    before = tried.exists()
    tried.touch()
    assert before
def test_always_won():
    pass
""")
    shell = Logged(tmp_path, f"export TMPDIR={tmp_path}; python={sys.executable}; all_parts=style build_packages= test_packages=; "
                             f"need() {{ :; }}; run_part() {{ run_pytest a; }}; run_tests {asked}")
    told, status = shell.rest()
    assert f"\nstyle     {result}" in told and (status == 0) == result.startswith("passed"), told


def test_what_fails_alone_as_well_has_failed(tmp_path):
    (tmp_path / "tests/a").mkdir(parents=True)
    (tmp_path / "tests/a/test_wrong.py").write_text("def test_wrong():\n    assert 1 == 2\n")
    shell = Logged(tmp_path, f"export TMPDIR={tmp_path}; python={sys.executable}; run_pytest a")
    told, status = shell.rest()
    assert status != 0 and told.count("1 failed") == 2, told


def test_why_googletest_skipped_is_told(tmp_path):
    (tmp_path / "output").write_text("[ RUN ] A.b\n/src/a_test.cpp:12: Skipped\nneeds root\n\n[  SKIPPED ] A.b (0 ms)\n")
    shell = Logged(tmp_path, f"tell_skips {tmp_path}/output")
    assert shell.rest() == ("SKIPPED /src/a_test.cpp:12: needs root\n", 0)


NO_PODMAN = 'command() { [ "$2" != podman ]; }'
NO_DOCKER = 'command() { [ "$2" != dockerd ]; }'
LAST_RELEASE = re.search(r"^last_release=(.*)", (ROOT / "tests/run.sh").read_text(), re.MULTILINE)[1]


@pytest.mark.parametrize("taken_away, part, sentence", [
    ("umount --lazy /proc", "daemon", "/proc is not mounted here\n"), ("umount --lazy /proc", "unit", ""),
    ("umount --recursive --lazy /sys", "packaging", "no control groups are mounted here\n"),
    ("umount --recursive --lazy /sys", "daemon", ""),
    (NO_PODMAN + "; unset CI", "containers", "podman is not installed; ./dev test containers installs it and what else this part needs\n"),
    (NO_PODMAN + "; CI=true", "containers", ""),
    (NO_DOCKER + "; unset CI", "fleet", "Docker is not installed; ./dev test fleet installs it and what else this part needs\n"),
    (NO_DOCKER + "; CI=true", "fleet", ""),
    ("git() { false; }", "release", f"the history here does not reach back to {LAST_RELEASE}: git fetch --unshallow\n"),
    ("git() { true; }; root=/none; unset CI", "release", "the last release is not built; ./dev test release does so, in minutes\n"),
    ("git() { true; }; CI=true", "release", "")])
def test_a_part_that_cannot_run_is_skipped_with_a_sentence(taken_away, part, sentence):
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        pytest.skip("needs root, and a root directory that is a mount point, which a chroot's is not")
    told = subprocess.run(["unshare", "--mount", "bash", "-ec", f"{taken_away}\n. {ROOT}/tests/run.sh; why_not {part}"],
                          capture_output=True, text=True)
    assert (told.stdout, told.stderr, told.returncode) == (sentence, "", 0)


def git(directory, *arguments):
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=directory, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    """Two sources, one of which includes a header, in a commit called `base`."""
    for path, text in [("daemon/one.cpp", '#include "../common/a.hpp"\n'), ("common/two.cpp", ""), ("common/a.hpp", ""), (".clang-tidy", "")]:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--message=base"], ["tag", "base"]):
        git(tmp_path, *arguments)
    return tmp_path


@pytest.mark.parametrize("changed, linted", [("common/two.cpp", {"common/two.cpp"}), ("common/a.hpp", {"daemon/one.cpp"}),
                                             (".clang-tidy", {"daemon/one.cpp", "common/two.cpp"})])
def test_lint_is_for_what_a_change_touches_where_its_base_is_known(repository, changed, linted):
    (repository / changed).write_text("// changed\n")
    told = subprocess.run([ROOT / "tests/style/changed.sh", "base"], cwd=repository, capture_output=True, text=True, check=True)
    assert set(told.stdout.split()) == linted

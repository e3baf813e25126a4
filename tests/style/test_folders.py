"""The rules of check_folders.sh hold here, and each of them still catches a planted breach."""
import pathlib
import re
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
SCRIPT = HERE / "check_folders.sh"

FORK = "fork lives in common/process/spawn.hpp only"
SLEEP = "a daemon never sleeps; it waits for events"
CATCH = "catch (...) belongs at a process or connection boundary"
SYSTEM = "a pure file includes no system header"
CLOCK = "a pure file reads no clock"
LOG = "a pure file logs nothing"
COMMON = "common includes nothing of the daemon"
APART = "master and worker never include each other"
ASIO = "Boost.Asio lives below the fork: worker, handlers, observe, public headers"
PROGRAM_OPTIONS = "Boost.Program_options lives in common/config/options only"
COMMON_LINE = "the folders of common form a line: base log process config tls net systemd channel control"
MASTER_LINE = "the folders of daemon/master form a line: control pool observe reload upgrade"
WORKER_LINE = "the folders of daemon/worker form a line: loop process accept handler stream forward datagram program model"
DAEMON_LINE = "the folders of daemon form a line: handlers worker observe master ctl startup embed test_kit"
ONCE = "a header starts with #pragma once"
MAIN = "a main is under 50 lines"
LONG = "a file is at most 400 lines"

BREACHES = [
    (FORK, "daemon/master/supervisor.cpp", "const pid_t pid = ::fork();"),
    (FORK, "daemon/spawn.hpp", "#pragma once\nint pid = fork();"),
    (FORK, "daemon/handlers/program.cpp", 'std::system ("true");'),
    (SLEEP, "daemon/worker/worker.cpp", "::usleep(1000);"),
    (SLEEP, "common/net/listener.cpp", "std::this_thread::sleep_for(500ms);"),
    (CATCH, "daemon/handlers/echo.cpp", "try { f(); } catch (...) {}"),
    (SYSTEM, "daemon/master/lifecycle.hpp", "#pragma once\n#include <unistd.h>"),
    (SYSTEM, "daemon/master/pool/respawn_policy.cpp", "#include <sys/wait.h>"),
    (SYSTEM, "common/include/preforkd/endpoint.hpp", "#pragma once\n#include <netinet/in.h>"),
    (CLOCK, "daemon/master/lifecycle.cpp", "const auto now = Clock::now();"),
    (CLOCK, "common/config/settings_check.cpp", "const auto now = std::chrono::steady_clock::now();"),
    (LOG, "common/process/recycle_policy.cpp", 'log(LogLevel::Info, "hello");'),
    (COMMON, "common/log/log.cpp", '#include "daemon/master/lifecycle.hpp"'),
    (COMMON, "common/include/preforkd/run.hpp", '#pragma once\n#include "../../../daemon/worker/worker.hpp"'),
    (APART, "daemon/master/supervisor.cpp", '#include "daemon/worker/worker.hpp"'),
    (APART, "daemon/worker/worker.cpp", '#include "../master/lifecycle.hpp"'),
    (ASIO, "daemon/master/supervisor.cpp", "#include <boost/asio/io_context.hpp>"),
    (ASIO, "common/log/log.cpp", "#include <boost/asio.hpp>"),
    (PROGRAM_OPTIONS, "common/config/settings_file.cpp", "#include <boost/program_options.hpp>"),
    (COMMON_LINE, "common/log/log.cpp", '#include "common/net/listener.hpp"'),
    (COMMON_LINE, "common/base/clock.cpp", '#include "common/misc/other.hpp"'),
    (MASTER_LINE, "daemon/master/pool/pool.cpp", '#include "daemon/master/reload/reloader.hpp"'),
    (MASTER_LINE, "daemon/master/reload/reloader.cpp", '#include "daemon/master/supervisor.hpp"'),
    (WORKER_LINE, "daemon/worker/accept/acceptor.cpp", '#include "daemon/worker/model/fork.hpp"'),
    (DAEMON_LINE, "daemon/handlers/echo.cpp", '#include "daemon/startup/run.hpp"'),
    (ONCE, "common/base/clock.hpp", "// A clock.\n#pragma once"),
    (MAIN, "daemon/preforkd.cpp", "\n" * 49),
    (LONG, "daemon/worker/worker.cpp", "\n" * 400),
]

ALLOWED = [
    ("common/process/spawn.hpp", "#pragma once\nconst pid_t pid = ::fork(); try { f(); } catch (...) {}"),
    ("common/config/options_table.cpp", "#include <boost/program_options.hpp>"),
    ("daemon/worker/stream/serve_here.cpp", '#include "daemon/worker/accept/acceptor.hpp"'),
    ("daemon/worker/worker.cpp", '#include "daemon/worker/model/serve_model.hpp"\n#include "common/log/log_output.hpp"'),
    ("common/include/preforkd/connection.hpp", "#pragma once\n#include <boost/asio/awaitable.hpp>"),
    ("daemon/worker/model/async.cpp", "#include <boost/asio.hpp>\ntry { f(); } catch (...) {}"),
    ("daemon/master/pool/worker_start.cpp", "// no sleep(1) here, and no fork()\nconst auto now = Clock::now();"),
    ("daemon/worker/worker.cpp", "\n" * 399),
    ("tests/process/peer_test.cpp", "#include <boost/asio.hpp>\nconst pid_t pid = ::fork();\n::usleep(1000);"),
]


def check(root: pathlib.Path) -> subprocess.CompletedProcess:
    return subprocess.run([SCRIPT, root], capture_output=True, text=True)


def plant(root: pathlib.Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + "\n")


def test_every_behaviour_is_in_its_folder():
    verdict = check(ROOT)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


@pytest.mark.parametrize("rule, path, text", BREACHES, ids=[f"{rule}: {path}" for rule, path, _ in BREACHES])
def test_a_planted_breach_is_found(tmp_path, rule, path, text):
    plant(tmp_path, path, text)
    verdict = check(tmp_path)
    assert verdict.returncode == 1
    assert re.search(rf"^{re.escape(path)}:\d+.*<- {re.escape(rule)}$", verdict.stdout, re.MULTILINE), verdict.stdout


@pytest.mark.parametrize("path, text", ALLOWED, ids=[path for path, _ in ALLOWED])
def test_what_a_folder_is_for_is_allowed(tmp_path, path, text):
    plant(tmp_path, path, text)
    verdict = check(tmp_path)
    assert (verdict.returncode, verdict.stdout) == (0, "")


def folders_without_sources(root: pathlib.Path) -> list:
    """Folders of the unit and process tests that mirror none of common/ or daemon/, but for the one that replays the fuzzers'."""
    mirrored = {str(test.parent.relative_to(root / "tests" / ring)) for ring in ("unit", "process")
                for test in (root / "tests" / ring).rglob("*_test.cpp")} - {"fuzz"}
    return sorted(folder for folder in mirrored
                  if not any(list((root / top / folder).glob("*.[ch]pp")) for top in ("common", "daemon")))


def doubles(root: pathlib.Path) -> list:
    """Names that two files of the product have: a name shall be one file's, also to the linker script of a child's path."""
    names = [file.name for top in ("common", "daemon") for file in (root / top).rglob("*.[ch]pp")
             if file.name != "precompiled.hpp"]
    return sorted({name for name in names if names.count(name) > 1})


def test_tests_mirror_the_folders_of_what_they_test():
    assert folders_without_sources(ROOT) == []


def test_no_two_sources_have_one_name():
    assert doubles(ROOT) == []


def test_a_test_in_a_folder_of_its_own_and_a_second_file_of_one_name_are_found(tmp_path):
    for path in ("common/log/log.cpp", "daemon/ctl/log.cpp", "tests/unit/log/log_test.cpp", "tests/process/misc/log_test.cpp"):
        plant(tmp_path, path, "")
    assert folders_without_sources(tmp_path) == ["misc"]
    assert doubles(tmp_path) == ["log.cpp"]


def test_every_rule_has_a_planted_breach():
    rules = set(re.findall(r"\bsay '([^']+)'", SCRIPT.read_text()))
    assert rules == {rule for rule, _, _ in BREACHES}

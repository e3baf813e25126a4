"""Options that a handler has declared: a program has them as it has the daemon's."""
import re
import subprocess
from signal import SIGHUP, SIGUSR2

import pytest

import daemon_process
from clients import exchange
from configured import LISTEN, Configured
from log_file import sentences


@pytest.fixture(scope="module")
def kv(program):
    return program("kv")


@pytest.fixture
def run_kv(kv, tmp_path):
    def run(*arguments, env=None):
        return subprocess.run([kv, *arguments], env=daemon_process.clean_environment(env), capture_output=True, text=True,
                              timeout=20, stdin=subprocess.DEVNULL, cwd=tmp_path)
    return run


@pytest.fixture
def banner(tmp_path):
    file = tmp_path / "banner"
    file.write_text("hello\n")
    return file


def test_help_and_version_have_them(run_kv):
    told = run_kv("--help").stdout
    assert told.startswith("Usage: kv [OPTION...]")
    assert re.search(r"^The handler:\n +--banner-file FILE +what to say to each client\n"
                     r" +--word TEXT +what to say then \(default: bye\)\n", told, re.MULTILINE), told
    assert re.fullmatch(r"kv 1\.2 \(preforkd \d\S*\)\n", run_kv("--version").stdout)


def test_they_are_taken_from_the_command_line_before_the_environment_before_the_file(run_kv, tmp_path):
    (tmp_path / "kv.conf").write_text("word = file\nbanner-file = \"a b\"\n")
    order = ["--print-config", "--config", "kv.conf"]
    printed = run_kv(*order).stdout
    assert "banner-file = a b  # kv.conf:2\n" in printed
    assert "word = file  # kv.conf:1\n" in printed
    env = {"PREFORKD_WORD": "environment"}
    assert "word = environment  # environment PREFORKD_WORD\n" in run_kv(*order, env=env).stdout
    assert "word = line  # command line\n" in run_kv(*order, "--word", "line", env=env).stdout
    nobody = run_kv("--print-config").stdout
    assert "# banner-file =  # default: none\n" in nobody and "word = bye  # default\n" in nobody
    assert "word" not in subprocess.run([daemon_process.PREFORKD, "--print-config"], capture_output=True, text=True).stdout


def test_what_is_mistyped_is_recognised(run_kv, tmp_path):
    refused = run_kv("--baner-file", "x")
    assert refused.returncode == 64 and "did you mean --banner-file?" in refused.stderr
    missing = run_kv("--word")
    assert missing.returncode == 64 and "write --word TEXT" in missing.stderr
    (tmp_path / "kv.conf").write_text("banner-fil = x\n")
    wrong = run_kv("--check-config", "--config", "kv.conf")
    assert wrong.returncode == 78 and "did you mean banner-file?" in wrong.stderr


def test_check_config_has_the_constructor_judge_the_values(run_kv, banner):
    good = run_kv("--check-config", "--banner-file", str(banner))
    assert (good.returncode, good.stdout) == (0, "configuration is valid\n"), good.stderr
    bad = run_kv("--check-config", "--banner-file", "/nowhere")
    assert bad.returncode == 78
    [told] = sentences(bad.stderr)
    assert told.endswith("--handler kv: its constructor failed: --banner-file /nowhere: cannot be read; name a file that can; "
                         "it was given --banner-file (command line)")


def test_check_config_refuses_a_model_that_the_handler_does_not_allow(run_kv):
    refused = run_kv("--check-config", "--model", "fork")
    assert refused.returncode == 78
    assert "handler kv does not allow --model fork; use serial or thread" in refused.stderr


@pytest.mark.parametrize("workers", ["0", "3"])
def test_a_bad_value_at_the_start_is_refused_in_one_line(run_kv, tmp_path, workers):
    (tmp_path / "kv.conf").write_text("word = file\nbanner-file = /nowhere\n")
    refused = run_kv("--config", "kv.conf", "--listen", "tcp://127.0.0.1:0", "--workers", workers)
    assert refused.returncode == 78
    [told] = sentences(refused.stderr)
    assert told.endswith("--handler kv: its constructor failed: --banner-file /nowhere: cannot be read; name a file that can; "
                         "it was given --banner-file (kv.conf:2), --word (kv.conf:1)")


def test_what_is_thrown_and_no_exception_is_told_with_its_handler(run_kv):
    refused = run_kv("--word", "no exception", "--listen", "tcp://127.0.0.1:0")
    assert refused.returncode == 78
    [told] = sentences(refused.stderr)
    assert told.endswith("--handler kv: its constructor failed with something not derived from std::exception; "
                         "it was given --word (command line)")


def test_a_handler_that_no_endpoint_has_is_not_tried(preforkd, kv):
    daemon = preforkd("--banner-file", "/nowhere", executable=kv, listen="tcp://127.0.0.1:0 handler=still")
    assert exchange(daemon.endpoint) == b"still\n"


def test_a_reload_reads_them_anew(preforkd, kv, tmp_path, banner):
    service = Configured(preforkd, tmp_path / "kv.conf", [LISTEN, "word = one"], executable=kv)
    daemon = service.daemon
    assert exchange(daemon.endpoint) == b"one\n"
    assert service.reload(LISTEN, "word = two", f"banner-file = {banner}")["message"].startswith("reloaded")
    assert exchange(daemon.endpoint) == b"hello\ntwo\n"
    daemon.expect("reload failed")
    told = service.reload(LISTEN, "banner-file = /nowhere")["message"]
    assert "--handler kv: its constructor failed: --banner-file /nowhere: cannot be read" in told
    assert f"it was given --banner-file ({tmp_path}/kv.conf:2)" in told, told
    assert exchange(daemon.endpoint) == b"hello\ntwo\n"


def test_an_upgrade_keeps_them(preforkd, kv, banner):
    daemon = preforkd("--banner-file", str(banner), "--word", "still here", executable=kv)
    assert exchange(daemon.endpoint) == b"hello\nstill here\n"
    daemon.signal(SIGUSR2)
    daemon.wait_log(lambda entry: entry["message"].startswith("upgraded"))
    assert exchange(daemon.endpoint) == b"hello\nstill here\n"
    daemon.signal(SIGHUP)
    daemon.wait_log("reloaded")
    assert exchange(daemon.endpoint) == b"hello\nstill here\n"


def test_an_upgrade_whose_constructor_fails_changes_nothing(preforkd, kv, banner):
    daemon = preforkd("--banner-file", str(banner), executable=kv)
    daemon.expect("upgrade failed")
    banner.unlink()
    daemon.signal(SIGUSR2)
    told = daemon.wait_log(lambda entry: entry["message"].startswith("upgrade failed"))["message"]
    assert f"--handler kv: its constructor failed: --banner-file {banner}: cannot be read" in told
    assert exchange(daemon.endpoint) == b"hello\nbye\n"


def test_a_shared_object_that_declares_options_is_told_that_it_cannot(run_preforkd, trouble):
    refused = run_preforkd("--handler", trouble("own_options"), "--check-config")
    assert refused.returncode == 78
    [told] = sentences(refused.stderr)
    assert "it has options of its own, such as --banner-file" in told and "a program that calls run()" in told

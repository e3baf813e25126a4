"""Handler authors: programs and shared objects built outside the tree, from an install prefix."""
import contextlib
import functools
import itertools
import os
import re
import resource
import select
import socket
import subprocess
from pathlib import Path

import pytest

import daemon_process
from built_handlers import pkg_config, run
from clients import connect, exchange
from datagram_clients import ask
from log_file import sentences

EXAMPLES = Path(__file__).parents[2] / "packaging/examples"
pytestmark = pytest.mark.programs("cmake", "make", "g++", "pkg-config")


@pytest.fixture(scope="session")
def built_by_cmake(prefix, tmp_path_factory):
    @functools.cache
    def build(example):
        there = tmp_path_factory.mktemp(example)
        run("cmake", "-S", EXAMPLES / example, "-B", there, "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_PREFIX_PATH={prefix}")
        run("cmake", "--build", there)
        return there
    return build


@pytest.fixture(scope="session")
def built_by_make(prefix, tmp_path_factory):
    def build(example):
        there = tmp_path_factory.mktemp(example)
        run("make", "-f", EXAMPLES / example / "Makefile", f"VPATH={EXAMPLES / example}", cwd=there,
            env=pkg_config(prefix))
        return there
    return build


@contextlib.contextmanager
def serving(*command):
    """Runs a program that calls run(); gives its first endpoint, and in the end stops it."""
    reading, writing = os.pipe()
    with subprocess.Popen([*command, "--ready-fd", str(writing)], pass_fds=[writing], stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, env=daemon_process.daemon_environment()) as process:
        os.close(writing)
        with open(reading) as ready:
            endpoint = ready.readline().strip()
        assert endpoint, process.communicate(timeout=20)[1]
        try:
            yield endpoint
        finally:
            process.terminate()
            process.communicate(timeout=20)
    assert process.returncode == 0


# --- Programs --------------------------------------------------------------------------------------------------------

def names_of_processes(program):
    """As ps shows them."""
    names = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has gone
            if os.readlink(process / "exe") == str(program):
                names.add((process / "comm").read_text().strip())
    return names


def test_seven_lines_are_a_daemon(built_by_cmake):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    program = built_by_cmake("upper") / "upper"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    assert len((EXAMPLES / "upper/upper.cpp").read_text().splitlines()) <= 9
    assert re.match(r"upper +serial", run(program, "--list-handlers"))
    assert "(default: upper)" in run(program, "--help")
    assert "handler = upper  # default" in run(program, "--print-config")
    assert run(program, "--help").startswith("Usage: upper [OPTION...]") and "--greeting" not in run(program, "--help")
    assert re.fullmatch(r"upper \(preforkd \d\S*\)\n", run(program, "--version"))
    refused = subprocess.run([program, "--check-config", "--greetin"], capture_output=True, text=True, timeout=20)
    assert refused.returncode == 64 and "see upper --help" in refused.stderr
    with serving(program, "--listen", "tcp://127.0.0.1:0", "--workers", "2") as endpoint:
        assert exchange(endpoint, b"hello\nworld\n") == b"HELLO\nWORLD\n"
        assert names_of_processes(program) == {"upper", "upper-w1", "upper-w2"}

    # CPU, not time: the machine may be busy.  That of CMake's own looking around is in it.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 20
    run("strip", program)
    assert program.stat().st_size < 3.75 * 1024 * 1024


@pytest.mark.programs("systemd-socket-activate")
def test_a_program_built_with_pkg_config_is_activated_by_systemd(built_by_make):
    program = built_by_make("upper") / "upper"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen([*daemon_process.SOCKET_ACTIVATE, "--listen", f"127.0.0.1:{port}", program], text=True,
                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                          env=daemon_process.daemon_environment()) as process:
        try:
            assert "Listening on" in process.stderr.readline()
            assert exchange(f"tcp://127.0.0.1:{port}", b"hello") == b"HELLO"
        finally:
            process.terminate()
            process.communicate(timeout=20)
    assert process.returncode == 0


def test_one_program_serves_several_kinds(built_by_cmake):
    program = built_by_cmake("kinds") / "kinds"
    assert re.findall(r"^(\w+) +(\w+)", run(program, "--list-handlers"), re.MULTILINE) == [("upper", "async"),
                                                                                         ("count", "serial")]
    with serving(program, "--listen", "udp://127.0.0.1:0") as endpoint:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(20)
            client.connect(("127.0.0.1", int(endpoint.rsplit(":", 1)[1])))
            client.send(b"hello")
            assert client.recv(100) == b"HELLO"
    with serving(program, "--listen", "tcp://127.0.0.1:0") as endpoint:
        assert exchange(endpoint, b"hello") == b"HELLO"
    with serving(program, "--listen", "tcp://127.0.0.1:0", "--handler", "count", "--model", "fork") as endpoint:
        assert exchange(endpoint, b"a\nb\n") == b"1\n2\n"
        assert exchange(endpoint, b"a\nb") == b"1\n2\n", "the end of the input is not the output's"


def test_a_server_object_serves_inside_a_program(built_by_cmake):
    program = built_by_cmake("embedded") / "embedded"
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert select.select([process.stdout], [], [], 20)[0]
        endpoint = process.stdout.readline().strip()
        assert [exchange(endpoint, text) for text in (b"hello\n", b"hello", b"a\nb")] == [b"hello\n"] * 2 + [b"a\nb\n"]
        process.communicate(timeout=20)
    assert process.returncode == 0


def test_a_chat_reaches_clients_of_all_workers(built_by_cmake):
    """One for each worker, and one more."""
    there = built_by_cmake("chat")
    with serving(there / "chat", "--listen", "tcp://127.0.0.1:0", "--workers", "3", "-c", "1") as endpoint, \
            contextlib.ExitStack() as ends:
        clients = [ends.enter_context(connect(endpoint)) for _ in range(3)]
        lines = [ends.enter_context(client.makefile("rb")) for client in clients]
        for number, client in enumerate(clients):  # each takes part once it has heard itself
            client.sendall(b"I am %d\n" % number)
            while lines[number].readline() != b"I am %d\n" % number:
                pass
        for number in range(20):
            clients[0].sendall(b"%d\n" % number)
        expected = [b"%d\n" % number for number in range(20)]
        for each in lines:
            heard = (line for line in each if not line.startswith(b"I am"))  # of the others: at any time
            assert list(itertools.islice(heard, 20)) == expected


@pytest.mark.programs("nc")
def test_netcat_takes_part_in_the_chat(built_by_cmake):
    there = built_by_cmake("chat")
    with serving(there / "chat", "--listen", "tcp://127.0.0.1:0", "--workers", "2") as endpoint, contextlib.ExitStack() as ends:
        def join(greeting):
            client = ends.enter_context(subprocess.Popen(["nc", "-N", "127.0.0.1", endpoint.rsplit(":", 1)[1]], bufsize=0,
                                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            ends.callback(client.stdin.close)
            client.stdin.write(greeting)
            assert client.stdout.readline() == greeting
            return client
        first = join(b"I am first\n")
        join(b"hello\n")
        assert first.stdout.readline() == b"hello\n"


def test_a_store_is_one_for_all_workers(built_by_cmake):
    there = built_by_cmake("store")
    with serving(there / "store", "--listen", "tcp://127.0.0.1:0", "--workers", "4") as endpoint:
        assert [exchange(endpoint, b"INCR a\r\n") for _ in range(8)] == [b":%d\r\n" % n for n in range(1, 9)]
        assert exchange(endpoint, b"GET b\r\n") == b"$-1\r\n"


@pytest.mark.programs("redis-cli")
def test_redis_cli_talks_to_the_store(built_by_cmake):
    there = built_by_cmake("store")
    with serving(there / "store", "--listen", "tcp://127.0.0.1:0", "--workers", "2") as endpoint:
        def ask(*words):
            return run("redis-cli", "-p", endpoint.rsplit(":", 1)[1], *words).strip()
        assert [ask(*words.split()) for words in ("PING", "GET a", "SET a 41", "INCR a", "GET a", "DEL a", "DEL a", "GET a", "SET a x")] == \
            ["PONG", "", "OK", "42", "42", "1", "0", "", "ERR value is not an integer"]


@pytest.mark.parametrize("example", ["chat", "store"])
def test_the_tests_of_the_examples_pass(built_by_cmake, example):
    assert "[  PASSED  ]" in run(built_by_cmake(example) / f"{example}_test")


# --- The test kit ----------------------------------------------------------------------------------------------------

def test_the_test_kit_holds_what_it_promises(prefix, tmp_path):
    run("cmake", "-S", Path(__file__).parent / "kit", "-B", tmp_path, f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", tmp_path)
    done = run(tmp_path / "kit_test")
    assert "[  PASSED  ] 14 tests" in done, done


def test_the_readme_shows_the_example_that_is_tested():
    readme = (EXAMPLES.parents[1] / "README.md").read_text()
    assert re.search(r"^```cpp\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)[1] == \
        (EXAMPLES / "upper/upper.cpp").read_text()


# --- Shared objects --------------------------------------------------------------------------------------------------

@pytest.fixture(scope="session")
def shout(built_by_make):
    return built_by_make("shared_object")


@pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])
def test_a_shared_object_serves_in_every_model(preforkd, shout, model):
    daemon = preforkd("--handler", "./libshout.so", "--greeting", "hey", "--model", model, cwd=shout)
    assert [exchange(daemon.endpoint, b"hello") for _ in range(3)] == [b"hey!\n"] * 3


def test_a_shared_object_may_serve_one_endpoint(preforkd, shout):
    file = shout / "libshout.so"
    daemon = preforkd("--chdir", "/", listen=["tcp://127.0.0.1:0", f"tcp://127.0.0.1:0 handler={file}"])
    assert [exchange(endpoint, b"x") for endpoint in daemon.endpoints] == [b"connected\n", b"connected!\n"]


def test_a_shared_object_built_by_cmake_passes_the_check(built_by_cmake, run_preforkd):
    there = built_by_cmake("shared_object")
    done = run_preforkd("--handler", "./libshout.so", "--check-config", cwd=there)
    assert (done.returncode, done.stdout) == (0, "configuration is valid\n"), done.stderr


@pytest.mark.parametrize("model", ["serial", "thread"])
def test_a_class_for_streams_and_datagrams_has_one_instance_in_a_worker(preforkd, trouble, tmp_path, model):
    """And one in the trial: a constructor may take what there is only once."""
    made = tmp_path / "made"
    daemon = preforkd("--handler", trouble("both"), "--greeting", str(made), "--model", model, workers=1,
                      listen=["tcp://127.0.0.1:0", "udp://127.0.0.1:0"])
    stream, datagrams = daemon.endpoints
    assert [exchange(stream), ask(datagrams), exchange(stream), ask(datagrams)] == [b"1", b"2", b"3", b"4"]
    trial, worker = map(int, made.read_text().split())
    assert [worker] == daemon.workers() != [trial]


def test_the_master_does_not_load_it(preforkd, shout):
    daemon = preforkd("--handler", str(shout / "libshout.so"))
    mapped = [os.path.exists(f"/proc/{pid}/maps") and "libshout.so" in Path(f"/proc/{pid}/maps").read_text()
              for pid in (daemon.pid, *daemon.workers())]
    assert mapped == [False, True, True]


ABI = 'extern "C" const char* preforkd_handler_abi() {{ return "{}"; }} extern "C" void preforkd_handler(void*) {{}}'
HANDLER = """#include <preforkd/preforkd.hpp>
#include <csignal>
#include <unistd.h>
struct Bad : preforkd::StreamHandler {{
    Bad() {{ {} }}
    preforkd::awaitable<void> serve(preforkd::Connection&) override {{ co_return; }}
}};
PREFORKD_HANDLER(Bad);
"""
BAD = {
    "no handler": ("int nothing;", "has no handler for preforkd in it"),
    "other version": (ABI.format("preforkd 0, Boost 1_40"), 'was built for "preforkd 0, Boost 1_40" and this is'),
    "missing symbol": ("void missing(); void call() { missing(); }", "linked with all that it uses"),
    "throws": (HANDLER.format('throw std::runtime_error{"no database"};'), "its constructor failed: no database"),
    "throws a number": (HANDLER.format("throw 7;"), "its constructor failed with something not derived from std::exception"),
    "crashes": (HANDLER.format("std::raise(SIGSEGV);"), "killed by SIGSEGV"),
    "prints why": (HANDLER.format('std::fputs("starting\\nno licence\\n", stderr); std::abort();'),
                   "killed by SIGABRT; it printed: no licence"),
    "cuts its report": (HANDLER.format("for (int fd = 3; fd < 64; ++fd) (void)!::ftruncate(fd, 0); ::_exit(0);"),
                        "a trial: exited with code 0"),
    "forges its report": (HANDLER.format('for (int fd = 3; fd < 64; ++fd) (void)!::pwrite(fd, "\\15\\0\\0\\0" "r7 1 1 0 0 0\\n", 17, 0); '
                                         "::_exit(0);"), "wrote over the report"),
    "tells what it holds": (HANDLER.format("""
        std::string held = ::getsid(0) == ::getpid() ? "a session" : "no session";
        for (int fd = 0; fd < 256; ++fd) {
            char name[64] = "";
            if (::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), name, sizeof name - 1) > 0)
                held += std::string{", "} + name;
        }
        throw std::runtime_error{held};"""), "a session, /dev/null, /memfd:preforkd-trial (deleted), "
                            "/memfd:preforkd-trial (deleted), /memfd:preforkd-answer (deleted)"),
    "hangs": (HANDLER.format("for (;;) ::pause();"), "did not return within --boot-timeout 1s"),
}


@pytest.mark.parametrize("source, sentence", BAD.values(), ids=BAD.keys())
def test_a_bad_shared_object_is_one_sentence(prefix, run_preforkd, tmp_path, source, sentence):
    (tmp_path / "bad.cpp").write_text(source)
    flags = run("pkg-config", "--cflags", "preforkd", env=pkg_config(prefix)).split()
    run("g++", "-std=c++20", "-fPIC", "-shared", *flags, "bad.cpp", "-o", "libbad.so", cwd=tmp_path)
    for order in ["--check-config"], ["--listen", "tcp://127.0.0.1:0"]:
        done = run_preforkd("--handler", "./libbad.so", "--boot-timeout", "1s", *order, cwd=tmp_path)
        assert done.returncode == 78
        [told] = sentences(done.stderr)
        assert "--handler ./libbad.so: " in told and sentence in told


@pytest.mark.parametrize("order", [["--handler", "libshout.so"], ["--listen", "tcp://127.0.0.1:0 handler=libshout.so"],
                                   ["--handler", "shout"]], ids=["handler", "listen", "another name"])
def test_a_shared_object_named_without_a_slash_is_answered_with_how_to_name_it(shout, run_preforkd, tmp_path, order):
    name = re.search(r"\w+(\.so)?$", order[1])[0]
    (tmp_path / name).write_bytes((shout / "libshout.so").read_bytes())
    done = run_preforkd(*order, "--check-config", cwd=tmp_path)
    [told] = sentences(done.stderr)
    assert f'unknown handler "{name}"' in told and (remedy := f"./{name}") in told
    order = [word.replace(name, remedy) for word in order]
    assert run_preforkd(*order, "--check-config", cwd=tmp_path).returncode == 0


def test_a_shared_object_that_is_not_there_is_one_sentence(run_preforkd):
    done = run_preforkd("--handler", "./libnot_there.so", "--check-config")
    assert done.returncode == 78
    [told] = sentences(done.stderr)
    assert "No such file" in told and "name a file that is there, or one of --list-handlers" in told

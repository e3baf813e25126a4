"""What somebody meets who has netcat and two minutes."""
import os
import subprocess

import pytest

from clients import exchange, port_of

BUILT_IN = ("greet", "print", "echo", "discard", "daytime", "chargen", "forward")


def netcat(*arguments, wrap=(), text=""):
    return subprocess.run([*wrap, "nc", "-N", *arguments], input=text, capture_output=True, text=True, timeout=10)


@pytest.mark.programs("nc")
def test_netcat_is_greeted_and_let_go(preforkd):
    daemon = preforkd()
    answer = netcat("127.0.0.1", str(port_of(daemon.endpoint)))
    assert (answer.returncode, answer.stdout) == (0, "connected\n")


@pytest.mark.programs("nc")
def test_netcat_that_talks_first_is_greeted_too(preforkd):
    daemon = preforkd()
    for _ in range(20):
        assert netcat("127.0.0.1", str(port_of(daemon.endpoint)), text="hello\n" * 1000).stdout == "connected\n"


@pytest.mark.programs("nc")
def test_netcat_reaches_a_unix_socket(preforkd, tmp_path):
    preforkd(listen=f"unix://{tmp_path}/s")
    assert netcat("-U", f"{tmp_path}/s").stdout == "connected\n"


@pytest.mark.root
@pytest.mark.ipv6
@pytest.mark.programs("nc", "unshare", "nsenter", "ip")
def test_without_arguments_it_greets_on_port_10000_of_every_address(preforkd):
    """In a network namespace of its own: neither port 10000 nor foreign addresses are this test's to take."""
    daemon = preforkd(listen=None, workers=None, wrap=["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"])
    inside = ["nsenter", "-t", str(daemon.pid), "-n"]
    for host in ("127.0.0.1", "::1"):
        assert netcat(host, "10000", wrap=inside).stdout == "connected\n"
    assert len(daemon.workers()) in range(1, len(os.sched_getaffinity(0)) + 1)


@pytest.mark.programs("taskset")
def test_auto_workers_are_the_usable_cpus(preforkd):
    cpu = min(os.sched_getaffinity(0))
    daemon = preforkd(workers="auto", wrap=["taskset", "-c", str(cpu)])
    assert len(daemon.workers()) == 1


def test_several_endpoints_are_all_served_and_all_reported(preforkd, tmp_path):
    wanted = ["tcp://127.0.0.1:0", f"unix://{tmp_path}/s", f"unix://@preforkd-{os.getpid()}-several"]
    daemon = preforkd(listen=wanted)
    assert len(daemon.endpoints) == 3 and daemon.endpoints[1:] == wanted[1:]
    assert port_of(daemon.endpoints[0]) > 0
    for endpoint in daemon.endpoints:
        assert exchange(endpoint) == b"connected\n"
        assert daemon.log.find(endpoint), f"{endpoint} is not in the log"


def test_endpoints_in_the_environment_are_separated_by_newlines(preforkd, tmp_path):
    daemon = preforkd(listen=None, env={"PREFORKD_LISTEN": f"tcp://127.0.0.1:0\nunix://{tmp_path}/s handler=echo"})
    assert exchange(daemon.endpoints[0]) == b"connected\n"
    assert exchange(daemon.endpoints[1], b"abc") == b"abc"


def test_an_unknown_variable_is_a_warning(preforkd):
    daemon = preforkd(env={"PREFORKD_PORT": "tcp://10.0.0.1:10000"})
    daemon.expect("PREFORKD_PORT")
    assert daemon.log.find("PREFORKD_PORT")[0]["level"] == "warning"
    assert exchange(daemon.endpoint) == b"connected\n"


# --- what only prints ------------------------------------------------------------------------------------------------

def test_help_names_every_option(run_preforkd):
    told = run_preforkd("--help")
    assert told.returncode == 0 and not told.stderr
    for option in ("listen handler list-handlers workers model connections backlog idle-timeout stop-timeout boot-timeout "
                   "worker-timeout ready-fd max-requests user group chdir umask config check-config print-config log-level "
                   "drain-delay log-format log-file log-connections greeting version").split():
        assert f"--{option}" in told.stdout


def test_version_is_one_line_with_a_number(run_preforkd):
    told = run_preforkd("--version")
    assert told.returncode == 0 and told.stdout.startswith("preforkd ") and any(map(str.isdigit, told.stdout))
    assert told.stdout.count("\n") == 1


def test_list_handlers_prints_the_built_in_ones(run_preforkd):
    told = run_preforkd("--list-handlers")
    assert told.returncode == 0
    names = {line.split()[0] for line in told.stdout.splitlines() if line.strip()}
    assert names.issuperset(BUILT_IN)


def printed_config(text):
    """{name: (value, origin)} of `name = value  # origin` lines; an option that nobody set is commented out."""
    table = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        value, _, origin = line.removeprefix("# ").partition("#")
        name, _, value = value.partition("=")
        table[name.strip()] = (value.strip(), origin.strip())
    return table


def test_print_config_says_where_each_value_comes_from(run_preforkd, tmp_path):
    (tmp_path / "file").write_text("# a comment\nworkers = 3\nhandler = echo\nstop-timeout = 5s\n")
    told = run_preforkd("--config", str(tmp_path / "file"), "--handler", "discard", "--print-config",
                        env={"PREFORKD_WORKERS": "4", "PREFORKD_HANDLER": "print"})
    assert told.returncode == 0, told.stderr
    table = printed_config(told.stdout)
    assert table["handler"][0] == "discard" and "command line" in table["handler"][1]
    assert table["workers"][0] == "4" and "PREFORKD_WORKERS" in table["workers"][1]
    assert table["stop-timeout"][0] == "5s" and str(tmp_path / "file") in table["stop-timeout"][1]
    assert "default" in table["idle-timeout"][1]
    assert table["listen"][0] == "tcp://:10000" and "default" in table["listen"][1]


def test_what_print_config_prints_is_a_configuration_file(run_preforkd, tmp_path):
    first = run_preforkd("--workers", "7", "--idle-timeout", "1m30s", "--listen", "tcp://127.0.0.1:0 handler=echo backlog=5",
                         "--print-config")
    (tmp_path / "file").write_text(first.stdout)
    second = run_preforkd("--config", str(tmp_path / "file"), "--print-config")
    assert second.returncode == 0, second.stderr
    values = [{name: value for name, (value, _) in printed_config(told.stdout).items() if name != "config"}
              for told in (first, second)]
    assert values[0] == values[1]


def test_check_config_binds_nothing_and_is_silent_about_good_input(run_preforkd, tmp_path):
    told = run_preforkd("--listen", f"unix://{tmp_path}/s", "--check-config")
    assert told.returncode == 0 and not told.stderr
    assert not (tmp_path / "s").exists()


def test_check_config_names_an_unknown_variable_as_the_daemon_does(run_preforkd):
    told = run_preforkd("--check-config", env={"PREFORKD_WORKRS": "3"})
    assert (told.returncode, told.stdout) == (0, "configuration is valid\n")
    [line] = told.stderr.splitlines()
    assert "warning" in line and line.endswith("PREFORKD_WORKRS is not an option of preforkd, ignored; "
                                               "did you mean PREFORKD_WORKERS?")


def test_a_file_configures_everything(preforkd, tmp_path):
    (tmp_path / "file").write_text("listen = tcp://127.0.0.1:0 handler=echo\nlisten = tcp://127.0.0.1:0\n"
                                   "workers = 1\nlog-format = json\ngreeting = from the file\n")
    daemon = preforkd("--config", str(tmp_path / "file"), listen=None, workers=None, log_format=None)
    assert exchange(daemon.endpoints[0], b"abc") == b"abc"
    assert exchange(daemon.endpoints[1]) == b"from the file\n"
    assert len(daemon.workers()) == 1


def test_ready_fd_is_closed_in_the_workers_and_the_master(preforkd):
    daemon = preforkd()  # wait_ready() has read to the end of the pipe, so nobody holds it any more
    assert exchange(daemon.endpoint) == b"connected\n"

"""--observe and --agent: where a daemon may be looked at."""
import pytest


@pytest.mark.parametrize("endpoint, remedy", [
    ("tcp://:9090", "use tcp://localhost:9090, or spell it out"), ("udp://localhost:9090", "expected tcp://HOST:PORT"),
    ("tcp://localhost:9090 handler=echo", "only the keys"),
    ("tcp://localhost:9090 log-connections=no", "only the keys"), ("tls://localhost:9090 certificate=x key=y", "expected tcp://HOST:PORT")])
@pytest.mark.parametrize("option", ["--observe", "--agent"])
def test_an_endpoint_that_does_not_fit_is_refused(run_preforkd, option, endpoint, remedy):
    ended = run_preforkd(option, endpoint)
    assert ended.returncode == 64 and option in ended.stderr and remedy in ended.stderr, ended.stderr


def test_two_that_have_the_same_endpoint_are_refused_before_they_are_bound(run_preforkd, tmp_path):
    same = f"unix://{tmp_path}/s"
    sockets = ["--listen", "--observe", "--agent", "--control"]
    for number, option in enumerate(sockets):
        for other in sockets[:number]:
            ended = run_preforkd("--check-config", option, same, other, same)
            assert ended.returncode == 64 and f"{option}: {same}: {other} has that already" in ended.stderr, ended.stderr
    (tmp_path / "conf").write_text(f"observe = {same}\ncontrol = {same}\n")
    ended = run_preforkd("--check-config", "--config", tmp_path / "conf")
    assert ended.returncode == 78 and f"control: {same}: --observe has that already" in ended.stderr, ended.stderr


def test_without_a_master_there_is_nothing_to_tell(run_preforkd):
    ended = run_preforkd("--workers", "0", "--observe", "tcp://localhost:0")
    assert ended.returncode == 64 and "--observe: needs a master to tell of" in ended.stderr


def test_who_tells_everybody_is_warned(preforkd):
    daemon = preforkd("--observe", "tcp://0.0.0.0:0")
    daemon.expect("other machines reach it")
    assert daemon.wait_log("other machines reach it")["option"] == "--observe"

"""A handler says which models it allows: any other is refused before anything is served, with its author's words."""
import pytest

from clients import exchange
from configured import LISTEN
from log_file import sentences

WHY = "does not allow --model {}: what it stores is in one thread; use async"


@pytest.mark.parametrize("model", ["serial", "thread", "fork"])
@pytest.mark.parametrize("order", [["--check-config"], ["--check-config", "--listen", "tcp://127.0.0.1:0"],
                                   ["--listen", "tcp://127.0.0.1:0"],
                                   ["--listen", "tcp://127.0.0.1:0", "--workers", "0"]],
                         ids=["check, where it listens by default", "check", "start", "start alone"])
def test_a_model_that_a_shared_object_does_not_allow_is_refused(run_preforkd, trouble, order, model):
    done = run_preforkd("--handler", trouble("only_async"), "--model", model, *order)
    assert done.returncode == 78
    [told] = sentences(done.stderr)
    assert "--listen tcp://" in told and WHY.format(model) in told


def test_a_model_that_it_allows_serves_and_is_its_own(preforkd, trouble):
    daemon = preforkd("--handler", trouble("only_async"))
    assert exchange(daemon.endpoint) == b"served\n"
    assert preforkd("--handler", trouble("only_async"), "--model", "async").endpoint


def test_another_model_fails_a_reload_and_changes_nothing(configured, trouble):
    handler = f"handler = {trouble('only_async')}"
    service = configured(LISTEN, handler)
    before = service.daemon.workers()
    service.daemon.expect("reload failed")
    assert WHY.format("thread") in service.reload(LISTEN, handler, "model = thread")["message"]
    assert service.daemon.workers() == before
    assert exchange(service.daemon.endpoint) == b"served\n"

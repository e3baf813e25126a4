"""`while (co_await client.read_some()) {}` is what it looks like, however a handler is compiled."""
import pytest

from built_handlers import TROUBLES, build_once
from clients import connect, exchange, read_exactly


@pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])
@pytest.mark.parametrize("optimised", ["-O0", "-O2"])
def test_a_condition_that_waits_goes_on_with_what_came(preforkd, prefix, tmp_path_factory, optimised, model):
    library = build_once(tmp_path_factory.getbasetemp(), f"libidiomatic{optimised}.so", TROUBLES / "idiomatic.cpp", prefix,
                         "-fPIC", "-shared", optimised)
    daemon = preforkd("--handler", library, "--model", model)
    assert exchange(daemon.endpoint, b"one\ntwo\nrest") == b"hello\nread\nread\nand the rest\nend\n"
    with connect(daemon.endpoint) as client:
        assert read_exactly(client, 6) == b"hello\n"
        for _ in range(3):
            client.sendall(b"x\n")
            assert read_exactly(client, 5) == b"read\n"

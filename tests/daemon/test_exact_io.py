"""Reads of so many bytes, a look ahead and answers of several parts, by a handler compiled out of tree."""
import pytest

from clients import connect, exchange, read_exactly


@pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])
def test_frames_are_read_exactly_and_answered_in_parts(preforkd, trouble, model):
    daemon = preforkd("--handler", trouble("exact"), "--model", model)
    assert exchange(daemon.endpoint, b"05hello03you") == b"[hello][you]"
    assert exchange(daemon.endpoint, b"05hel") == b"[cut]", "an end in the middle is no frame"
    with connect(daemon.endpoint) as client:
        for piece in (b"0", b"2", b"a"):
            client.sendall(piece)
        client.sendall(b"b99" + b"x" * 99)
        assert read_exactly(client, 4 + 101) == b"[ab][" + b"x" * 99 + b"]"

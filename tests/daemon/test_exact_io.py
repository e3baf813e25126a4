"""Reads of so many bytes, a look ahead and answers of several parts, by handlers compiled out of tree."""
import os
import threading

import pytest

from clients import connect, exchange, read_exactly

CELLS = [("exact", model) for model in ("async", "serial", "thread", "fork")] + \
        [("exact_blocking", model) for model in ("serial", "thread", "fork")]
IN_EVERY_CELL = pytest.mark.parametrize("handler, model", CELLS, ids=[f"{model}-{handler}" for handler, model in CELLS])


@IN_EVERY_CELL
def test_frames_are_read_exactly_and_answered_in_parts(preforkd, trouble, handler, model):
    daemon = preforkd("--handler", trouble(handler), "--model", model)
    assert exchange(daemon.endpoint, b"05hello03you") == b"[hello][you]"
    assert exchange(daemon.endpoint, b"05hel") == b"[cut]", "an end in the middle is no frame"
    with connect(daemon.endpoint) as client:
        for piece in (b"0", b"2", b"a"):
            client.sendall(piece)
        client.sendall(b"b99" + b"x" * 99)
        assert read_exactly(client, 4 + 101) == b"[ab][" + b"x" * 99 + b"]"


@IN_EVERY_CELL
def test_more_than_a_buffer_of_ours_comes_into_the_handlers_own(preforkd, trouble, handler, model):
    """Behind a piece of it that has been received already, and before a frame that follows."""
    body = os.urandom(200_000)
    daemon = preforkd("--handler", trouble(handler), "--model", model)
    with connect(daemon.endpoint) as client:
        client.sendall(b"++" + body[:1000])
        sender = threading.Thread(target=client.sendall, args=(body[1000:] + b"03you",))
        sender.start()
        assert read_exactly(client, len(body) + 2 + 5) == b"[" + body + b"][you]"
        sender.join()

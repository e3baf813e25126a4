"""A reader and a writer of one connection at once, and a read that something else is faster than, out of tree."""
import signal

import pytest

from clients import connect, read_exactly, read_to_end

SAID = b"later\n" + b"tick\n" * 3
IN_EVERY_MODEL = pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])


@IN_EVERY_MODEL
def test_the_reader_keeps_its_timeout_when_the_writer_has_ended(preforkd, trouble, model):
    daemon = preforkd("--handler", trouble("two_sides"), "--model", model, "--idle-timeout", "300ms")
    with connect(daemon.endpoint) as client:
        assert read_to_end(client) == SAID


@IN_EVERY_MODEL
def test_a_fast_stop_ends_the_reader_when_the_writer_has_ended(preforkd, trouble, model):
    daemon = preforkd("--handler", trouble("two_sides"), "--model", model, "--idle-timeout", "0", workers=1)
    with connect(daemon.endpoint) as client:
        assert read_exactly(client, len(SAID)) == SAID
        assert daemon.stop(signal.SIGINT) == 0
        assert read_to_end(client) == b""
    daemon.cut()

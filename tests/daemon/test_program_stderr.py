"""What programs write to standard error is logged, at most so many lines a second of all programs of a worker."""
from clients import connect, exchange, read_exactly
from test_program import script

LINES = 1000
RESERVE_SECONDS = 2


def said(daemon):
    return daemon.log.find(lambda entry: entry["message"].startswith("program of ") and "text" in entry)


def dropped(daemon):
    return sum(entry["lines"] for entry in daemon.log.find("were dropped"))


def test_lines_beyond_the_rate_are_dropped_and_counted(preforkd, tmp_path):
    program = script(tmp_path, f"seq {LINES} >&2; exec cat")
    daemon = preforkd("--stderr-rate", "10/s", "--", program, workers=1)
    with connect(daemon.endpoint):
        daemon.wait_log("were dropped")  # by itself: the program says nothing more, and does not end
        with connect(daemon.endpoint):
            daemon.wait_log("were dropped", count=2)
    daemon.stop()
    texts = [entry["text"] for entry in said(daemon)]
    assert texts[:10 * RESERVE_SECONDS] == [str(number + 1) for number in range(10 * RESERVE_SECONDS)]
    assert len(texts) < 2 * LINES and len(texts) + dropped(daemon) == 2 * LINES


def test_what_was_dropped_is_said_before_the_worker_leaves(preforkd, tmp_path):
    daemon = preforkd("--stderr-rate", "10/s", "--", script(tmp_path, f"seq {LINES} >&2"), workers=1)
    exchange(daemon.endpoint)
    daemon.stop()
    assert len(said(daemon)) + dropped(daemon) == LINES


def test_without_a_limit_all_are_logged(preforkd, tmp_path):
    program = script(tmp_path, f"seq {LINES} >&2; echo done")
    daemon = preforkd("--stderr-rate", "off", "--", program, workers=1)
    for _ in range(5):
        with connect(daemon.endpoint) as client:
            assert read_exactly(client, 5) == b"done\n"
    daemon.wait_log(lambda entry: entry.get("text") == str(LINES), count=5)
    daemon.stop()
    assert len(said(daemon)) == 5 * LINES and not daemon.log.find("were dropped")

"""Every transport with every model and every kind of pool: 48 cells, each serves."""
import pytest

import clients
import datagram_clients


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])
@pytest.mark.parametrize("transport", ["tcp", "udp", "unix", "unixgram"])
def test_every_cell_serves_three_clients(preforkd, tmp_path, transport, model, workers):
    where = {"tcp": "127.0.0.1:0", "udp": "127.0.0.1:0"}.get(transport, f"{tmp_path}/socket")
    daemon = preforkd("--handler", "echo", "--model", model, listen=f"{transport}://{where}", workers=workers)
    exchange = datagram_clients.ask if transport in ("udp", "unixgram") else clients.exchange
    for request in (b"first", b"second" * 200, b"third"):
        assert exchange(daemon.endpoint, request) == request
    assert daemon.stop() == 0

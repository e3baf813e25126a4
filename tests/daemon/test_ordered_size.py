"""A number of workers that was ordered while the daemon ran, and the --workers of its settings: the younger word holds."""
import signal

import pytest

from configured import LISTEN
from control import ask, endpoint_in, status


def order_five(daemon):
    assert ask(daemon.control, "workers 5")["ok"]


def order_by_signals(daemon):
    for _ in range(3):
        after = daemon.log.mark()
        daemon.signal(signal.SIGTTIN)
        daemon.wait_log("pool size changed", after=after)


@pytest.fixture
def sized(configured, tmp_path):
    def start(workers):
        service = configured(LISTEN, f"workers = {workers}", arguments=["--control", endpoint_in(tmp_path)],
                             workers=None)
        service.daemon.control = endpoint_in(tmp_path)
        return service
    return start


@pytest.mark.parametrize("order", [order_five, order_by_signals])
def test_an_order_outlives_a_reload_until_the_setting_changes(sized, order):
    service = sized(2)
    order(service.daemon)
    service.daemon.wait_workers(5)
    for generation in (2, 3):
        reloaded = service.reload(LISTEN, "workers = 2", f"greeting = {generation}")["outcome"]
        assert reloaded == f"generation {generation} serves with 5 workers, 5 as ordered, where --workers says 2"
        service.daemon.wait_workers(5)
    reloaded = service.reload(LISTEN, "workers = 3")["outcome"]
    assert reloaded == "generation 4 serves with 3 workers: --workers is now 3, which ends the order of 5"
    service.daemon.wait_workers(3)
    assert service.reload(LISTEN, "workers = 3")["outcome"] == "generation 5 serves with 3 workers"


def test_whoever_orders_what_the_settings_say_is_told_nothing_more(sized):
    service = sized(2)
    order_five(service.daemon)
    assert ask(service.daemon.control, "workers 2")["ok"]
    assert service.reload(LISTEN, "workers = 2")["outcome"] == "generation 2 serves with 2 workers"


def test_of_a_range_the_least_number_is_what_is_ordered(sized):
    service = sized("1..8")
    order_five(service.daemon)
    service.daemon.wait_workers(5)
    reloaded = service.reload(LISTEN, "workers = 1..8")["outcome"]
    assert reloaded == "generation 2 serves with 5 workers, at least 5 as ordered, where --workers says 1..8"
    service.daemon.wait_workers(5)


def test_an_order_outlives_an_upgrade(sized):
    service = sized(2)
    order_five(service.daemon)
    service.daemon.wait_workers(5)
    service.write(LISTEN, "workers = 2", "greeting = new")
    assert "5 as ordered" in ask(service.daemon.control, "upgrade")["message"]
    service.daemon.wait_workers(5)
    assert status(service.daemon.control)["workers_wanted"] == 5
    service.write(LISTEN, "workers = 3")
    assert "ends the order of 5" in ask(service.daemon.control, "upgrade")["message"]
    service.daemon.wait_workers(3)

"""Listeners in systemd's store: after a crash or a restart of the master the next one serves who is queued.

The service manager is the test: it keeps what it is sent, and passes it to the next daemon."""
import os
import signal
import socket

import pytest

import proc
from activation import Passing, endpoint_of, listening
from clients import connect, exchange, read_exactly, read_to_end, refused
from tls_clients import TlsClient, exchange_tls, read_to_end_tls, trusting

LISTEN = ["tcp://127.0.0.1:0 handler=echo", "udp://127.0.0.1:0 handler=echo"]


def queue_client(endpoint, text):
    """A client that connects while nobody accepts, says something, and waits."""
    client = connect(endpoint)
    client.sendall(text)
    client.shutdown(socket.SHUT_WR)
    return client


def endings():
    return pytest.mark.parametrize("signo", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=["KILL", "TERM", "INT"])


def end(daemon, signo):
    daemon.expect("the master is gone")
    workers = daemon.workers()
    daemon.signal(signo)
    assert daemon.wait_exit() == (-signo if signo == signal.SIGKILL else 0)
    assert all(proc.wait_gone(pid, 5) for pid in workers)


def test_what_the_master_has_bound_is_stored_before_it_is_ready(preforkd, notify, tmp_path):
    daemon = preforkd(listen=[*LISTEN, f"unix://{tmp_path}/s", f"unixgram:///{tmp_path}/d"],
                      env=notify.environment_with_store)
    notify.wait("READY", "1")
    assert len(notify.stored) == 4 and len({name for name, _ in notify.stored}) == 4
    assert all(name.startswith("preforkd,") and ":" not in name for name, _ in notify.stored)
    ports = {kept.getsockname()[1] for _, kept in notify.stored if kept.family == socket.AF_INET}
    assert ports == {int(endpoint.rpartition(":")[2]) for endpoint in daemon.endpoints[:2]}


def test_without_a_store_nothing_is_stored_and_the_stop_removes_what_it_made(preforkd, notify, tmp_path):
    daemon = preforkd(listen=[*LISTEN, f"unix://{tmp_path}/s"], env=notify.environment)
    daemon.stop()
    assert not notify.stored_endpoints() and not (tmp_path / "s").exists()
    assert not [message for _, message in notify.received if "FDSTORE" in message]


@endings()
@pytest.mark.parametrize("workers", [0, 2])
def test_who_is_queued_between_two_masters_is_served_by_the_next(preforkd, notify, tmp_path, signo, workers):
    listen = [*LISTEN, f"unix://{tmp_path}/s handler=echo", f"unix://@preforkd-{os.getpid()}-store handler=echo"]
    first = preforkd(listen=listen, env=notify.environment_with_store, workers=workers)
    tcp, udp, unix, abstract = first.endpoints
    end(first, signo)
    clients = [queue_client(endpoint, endpoint.encode()) for endpoint in (tcp, unix, abstract)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(10)
        datagrams.connect(("127.0.0.1", int(udp.rpartition(":")[2])))
        datagrams.send(b"a datagram")
        second = preforkd(listen=listen, workers=workers, **notify.restart())
        assert sorted(second.endpoints) == sorted(first.endpoints)
        assert datagrams.recv(100) == b"a datagram"
    for endpoint, client in zip((tcp, unix, abstract), clients):
        assert read_to_end(client) == endpoint.encode()
        client.close()
    assert len(second.log.find(lambda entry: entry.get("passed") == "stored")) == 4
    assert exchange(unix, b"and later ones") == b"and later ones"
    notify.pending()
    assert len(notify.stored) == 4, "kept on, and kept once"


def test_a_restart_under_the_same_names_goes_on_for_ever(preforkd, notify, tmp_path):
    listen = ["tcp://127.0.0.1:0", f"unix://{tmp_path}/s"]
    daemon = preforkd(listen=listen, env=notify.environment_with_store)
    endpoints, stored = daemon.endpoints, None
    for _ in range(3):
        end(daemon, signal.SIGTERM)
        waiting = [connect(endpoint) for endpoint in endpoints]
        daemon = preforkd(listen=listen, **notify.restart())
        assert sorted(daemon.endpoints) == sorted(endpoints)
        for client in waiting:
            assert read_to_end(client) == b"connected\n"
            client.close()
        assert stored in (None, notify.stored_endpoints())
        stored = notify.stored_endpoints()


def test_a_stored_listener_that_is_no_longer_wanted_is_removed_and_closed(preforkd, notify, tmp_path):
    first = preforkd(listen=["tcp://127.0.0.1:0", f"unix://{tmp_path}/old"], env=notify.environment_with_store)
    end(first, signal.SIGKILL)
    second = preforkd(listen=f"unix://{tmp_path}/new", **notify.restart())
    assert len(second.log.find("settings no longer name")) == 2
    assert notify.stored_endpoints() == [f"{tmp_path}/new"]
    assert refused(first.endpoint) and not (tmp_path / "old").exists()
    assert exchange(second.endpoint) == b"connected\n"


def test_a_foreign_socket_that_matches_nothing_stays_an_error_beside_a_stored_one(preforkd, run_preforkd, notify):
    first = preforkd(env=notify.environment_with_store)
    end(first, signal.SIGTERM)
    assert notify.stored_endpoints()
    with listening() as foreign:
        passing = Passing(foreign, notify.stored[0][1], names=["web", notify.stored[0][0]])
        told = run_preforkd("-l", first.endpoint, **passing.arguments())
        assert told.returncode == 78 and "web" in told.stderr, told
        assert "fd://web" in told.stderr


def test_stored_and_activated_sockets_serve_side_by_side(preforkd, notify):
    with listening() as activated:
        listen = ["fd://web handler=echo", "tcp://127.0.0.1:0"]
        first = preforkd(listen=listen, **Passing(activated, names=["web"]).arguments(env=notify.environment_with_store))
        assert len(notify.stored_endpoints()) == 1, "what systemd passed it has already"
        end(first, signal.SIGTERM)
        name, kept = notify.stored[0]
        both = Passing(activated, kept, names=["web", name])
        second = preforkd(listen=listen, **both.arguments(env=notify.environment_with_store))
        assert sorted(second.endpoints) == sorted(first.endpoints)
        assert exchange(endpoint_of(activated), b"abc") == b"abc"


def test_a_unix_socket_whose_file_is_gone_is_bound_anew(preforkd, notify, tmp_path):
    """What RuntimeDirectory= does to it, unless it is preserved."""
    listen = f"unix://{tmp_path}/s"
    end(preforkd(listen=listen, env=notify.environment_with_store), signal.SIGTERM)
    (tmp_path / "s").unlink()
    second = preforkd(listen=listen, **notify.restart())
    assert exchange(second.endpoint) == b"connected\n"
    assert len(notify.stored_endpoints()) == 1


def test_a_listener_that_came_back_has_the_settings_of_now(preforkd, notify, tmp_path):
    tcp, unix = "tcp://127.0.0.1:0", f"unix://{tmp_path}/s"
    end(preforkd(listen=[f"{unix} mode=0600", f"{tcp} backlog=7"], env=notify.environment_with_store), signal.SIGTERM)
    second = preforkd(listen=[f"{unix} mode=0640 handler=echo", f"{tcp} backlog=99 keepalive=yes"], **notify.restart())
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o640
    assert exchange(unix, b"x") == b"x"
    [copy] = [kept for _, kept in notify.stored if kept.family == socket.AF_INET]
    assert copy.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert second.log.find(lambda entry: entry.get("passed") == "stored")


def test_a_listener_with_another_v6only_is_bound_anew(preforkd, notify):
    first = preforkd(listen="tcp://:0", env=notify.environment_with_store)
    end(first, signal.SIGTERM)
    notify.pending()
    if notify.stored[0][1].family != socket.AF_INET6:
        pytest.skip("this machine has no IPv6")
    second = preforkd(listen="tcp://:0 v6only=yes", **notify.restart())
    assert second.log.find("settings no longer name")
    assert second.endpoint != first.endpoint


def test_a_store_that_is_too_small_is_told_and_holds_nothing(preforkd, notify, tmp_path):
    daemon = preforkd(listen=["tcp://127.0.0.1:0", f"unix://{tmp_path}/s"], env=notify.environment | {"FDSTORE": "1"})
    daemon.expect("FileDescriptorStoreMax=")
    assert daemon.log.find("FileDescriptorStoreMax=")
    daemon.stop()
    assert not notify.stored_endpoints() and not (tmp_path / "s").exists()


def test_a_reload_stores_what_it_adds_and_removes_what_it_closes(preforkd, notify, tmp_path, trouble):
    config = tmp_path / "config"
    config.write_text(f"listen = unix://{tmp_path}/one\nlisten = unix://{tmp_path}/two\n")
    daemon = preforkd("--config", str(config), listen=None, env=notify.environment_with_store)
    notify.wait("READY")
    config.write_text(f"listen = unix://{tmp_path}/two\nlisten = unix://{tmp_path}/three\n")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded")
    assert notify.stored_endpoints() == [f"{tmp_path}/three", f"{tmp_path}/two"]
    assert not (tmp_path / "one").exists()
    # A generation that does not become ready leaves nothing in the store.
    config.write_text(f"listen = unix://{tmp_path}/four\nhandler = {trouble('throwing_a_number')}\n")
    mark = daemon.log.mark()
    daemon.expect("reload failed", "cannot start", "exited with code 70", "workers exit early")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reload failed", after=mark)
    assert notify.stored_endpoints() == [f"{tmp_path}/three", f"{tmp_path}/two"]
    assert not (tmp_path / "four").exists()
    end(daemon, signal.SIGTERM)
    with connect(f"unix://{tmp_path}/three") as client:
        config.write_text(f"listen = unix://{tmp_path}/two\nlisten = unix://{tmp_path}/three\n")
        preforkd("--config", str(config), listen=None, **notify.restart())
        assert read_to_end(client) == b"connected\n"


def test_a_graceful_stop_still_finishes_what_runs(preforkd, notify):
    daemon = preforkd("--handler", "echo", env=notify.environment_with_store)
    with connect(daemon.endpoint) as client:
        client.sendall(b"before")
        read_exactly(client, 6)
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("stopping")
        client.sendall(b"after")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"after"
    assert daemon.wait_exit() == 0


# --- the keys of session tickets -----------------------------------------------------------------------------------------

CLIENT = trusting()  # a session is its own
TICKET_KEYS = "preforkd,ticket-keys"


def visit(endpoint, session=None):
    """(the session to resume with next time, whether this one was resumed) of a client that is greeted."""
    with TlsClient(endpoint, CLIENT, session=session) as client:
        assert read_to_end_tls(client) == b"connected\n"
        return client.tls.session, client.tls.session_reused


def names_stored(notify):
    notify.pending()
    return [name for name, _ in notify.stored]


@endings()
def test_sessions_are_resumed_by_the_next_master(preforkd, notify, pair, signo):
    listen = f"tls://127.0.0.1:0 {pair}"
    first = preforkd(listen=listen, env=notify.environment_with_store)
    session, _ = visit(first.endpoint)
    end(first, signo)
    assert names_stored(notify).count(TICKET_KEYS) == 1
    second = preforkd(listen=listen, **notify.restart())
    assert second.endpoint == first.endpoint
    session, resumed = visit(second.endpoint, session)
    assert resumed
    second.signal(signal.SIGUSR2)
    second.wait_log("upgraded")
    assert names_stored(notify).count(TICKET_KEYS) == 1
    end(second, signo)
    third = preforkd(listen=listen, **notify.restart())
    assert visit(third.endpoint, session)[1]


def test_keys_that_nobody_uses_are_not_stored(preforkd, notify, pair, tmp_path):
    (tmp_path / "keys").write_bytes(os.urandom(80))
    config = tmp_path / "config"
    with_own = f"listen = tls://127.0.0.1:0 {pair}\n"
    config.write_text(with_own)
    daemon = preforkd("--config", str(config), listen=None, env=notify.environment_with_store)
    assert proc.eventually(lambda: TICKET_KEYS in names_stored(notify))
    for without in (f"listen = tls://127.0.0.1:0 {pair} ticket-keys={tmp_path}/keys\n", "listen = tcp://127.0.0.1:0\n"):
        for text, expected in ((without, 0), (with_own, 1)):
            config.write_text(text)
            after = daemon.log.mark()
            daemon.signal(signal.SIGHUP)
            daemon.wait_log("reloaded", after=after)
            assert proc.eventually(lambda: names_stored(notify).count(TICKET_KEYS) == expected)


def test_keys_that_are_none_are_told_and_replaced(preforkd, notify, pair, tmp_path):
    (tmp_path / "keys").write_text("none")
    notify.stored.append((TICKET_KEYS, open(tmp_path / "keys")))
    daemon = preforkd(listen=f"tls://127.0.0.1:0 {pair}", **notify.restart())
    assert daemon.log.find("is none of this version's")
    session, _ = visit(daemon.endpoint)
    end(daemon, signal.SIGTERM)
    assert visit(preforkd(listen=f"tls://127.0.0.1:0 {pair}", **notify.restart()).endpoint, session)[1]


def test_without_a_master_none_are_kept(preforkd, notify, pair):
    listen = f"tls://127.0.0.1:0 {pair}"
    end(preforkd(listen=listen, env=notify.environment_with_store), signal.SIGTERM)
    assert TICKET_KEYS in names_stored(notify)
    daemon = preforkd(listen=listen, workers=0, **notify.restart())
    assert proc.eventually(lambda: TICKET_KEYS not in names_stored(notify))
    assert exchange_tls(daemon.endpoint) == b"connected\n"

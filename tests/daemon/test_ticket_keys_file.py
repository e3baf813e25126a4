"""ticket-keys=FILE: daemons that share a name share the keys of session tickets."""
import os
import shutil
import ssl

import pytest

import proc
from configured import configured  # noqa: F401
from tls_clients import TlsClient, read_to_end_tls, trusting

HERE = "tls://127.0.0.1:0"
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def keys(tmp_path):
    """Writes the file anew: of 80 bytes each, the current one first."""
    file = tmp_path / "keys"

    def write(*each):
        new = file.with_suffix(".new")
        new.write_bytes(b"".join(each))
        new.rename(file)
        return file
    return write


def some_key():
    return os.urandom(80)


def visit(daemon, context, session=None):
    """(the session to resume with next time, whether this one was resumed)"""
    with TlsClient(daemon.endpoint, context, session=session) as client:
        assert read_to_end_tls(client) == b"connected\n"
        return client.tls.session, client.tls.session_reused


@pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])
def test_a_session_of_one_is_resumed_by_another_that_has_the_file(preforkd, pair, keys, version):
    file, context = keys(some_key()), trusting(version=version)
    one, other = (preforkd(listen=f"{HERE} {pair} ticket-keys={file}") for _ in range(2))
    stranger = preforkd(listen=f"{HERE} {pair}")
    session, _ = visit(one, context)
    assert visit(other, context, session)[1]
    assert not visit(stranger, context, visit(one, context)[0])[1]


@pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])
def test_a_key_is_replaced_by_a_reload_and_the_one_before_is_still_known(configured, pair, keys, version):
    first, second, third = some_key(), some_key(), some_key()
    context, lines = trusting(version=version), [f"listen = {HERE} {pair} ticket-keys={keys(first)}"]
    service = configured(*lines)

    def replace(*each):
        keys(*each)
        before = set(service.daemon.workers())
        assert service.reload(*lines)["message"].startswith("reloaded")
        assert proc.eventually(lambda: not before & set(service.daemon.workers())), "those of before have left"
    old, _ = visit(service.daemon, context)
    replace(second, first)
    new, resumed = visit(service.daemon, context, old)
    assert resumed
    replace(third, second)
    assert visit(service.daemon, context, new)[1], "its ticket is of the second"
    replace(third)
    assert not visit(service.daemon, context, new)[1]


def test_a_file_that_is_none_is_78_at_the_start_and_changes_nothing_later(configured, run_preforkd, pair, keys, tmp_path):
    for content in (b"", os.urandom(79), os.urandom(48)):
        told = run_preforkd("-l", f"{HERE} {pair} ticket-keys={keys(content)}")
        assert told.returncode == os.EX_CONFIG and f"ticket-keys={tmp_path}/keys" in told.stderr, told
    good = some_key()
    context, lines = trusting(), [f"listen = {HERE} {pair} ticket-keys={keys(good)}"]
    service = configured(*lines)
    session, _ = visit(service.daemon, context)
    keys(b"none")
    service.daemon.expect("reload failed")
    assert "ticket-keys=" in service.reload(*lines)["message"]
    assert visit(service.daemon, context, session)[1]


def test_a_session_is_of_its_certificate_whatever_the_keys(preforkd, authority, pair, keys, tmp_path):
    """Else one listener of a fleet would vouch for whom another has let in."""
    other_pair = authority.issue("other-name", "other.example")
    copy = pair._replace(certificate=str(tmp_path / "copy.pem"), key=str(tmp_path / "copy.key"))
    for old, new in zip(pair, copy):
        shutil.copy(old, new)
    file, context = keys(some_key()), trusting()
    one, same, other = (preforkd(listen=f"{HERE} {each} ticket-keys={file}") for each in (pair, copy, other_pair))
    assert visit(same, context, visit(one, context)[0])[1], "not the file's name, what is in it"
    assert not visit(other, context, visit(one, context)[0])[1]

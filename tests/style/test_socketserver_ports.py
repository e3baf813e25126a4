"""Every test of Python's Lib/test/test_socketserver.py has a port, which names it directly above or in its docstring."""
import pathlib
import re

TESTS = pathlib.Path(__file__).parents[1]
PORTS = [TESTS / "process/worker/model/socketserver_test.cpp", TESTS / "daemon/test_public_names.py"]

KINDS = ["TCPServer", "UDPServer", "UnixStreamServer", "UnixDatagramServer"]
SOCKETSERVER = {
    "SocketServerTest": [*(f"test_{how}{kind}" for kind in KINDS for how in ("", "Threading", "Forking")), "test_shutdown",
                         "test_close_immediately", "test_tcpserver_bind_leak", "test_context_manager"],
    "ErrorHandlerTest": [f"test_{how}_{what}" for how in ("sync", "threading", "forking")
                         for what in ("handled", "not_handled")],
    "SocketWriterTest": ["test_basics", "test_write"],
    "MiscTestCase": ["test_all", "test_shutdown_request_called_if_verify_request_false", "test_threads_reaped"],
}
ALL = sorted(f"{case}.{name}" for case, names in SOCKETSERVER.items() for name in names)


def ported_in(text):
    above = re.findall(r"^// (\w+\.test_\w+)\b.*\n(?:// (?!\w+\.test_).*\n)*TEST\(", text, re.MULTILINE)
    in_docstring = re.findall(r'^def test_\w+\(.*\):\n    """socketserver\'s (\w+\.test_\w+)\b', text, re.MULTILINE)
    return above + in_docstring


def test_every_test_of_socketserver_has_one_port():
    assert len(ALL) == 27
    assert sorted(name for file in PORTS for name in ported_in(file.read_text())) == ALL


def test_a_name_without_a_test_below_it_is_no_port():
    assert ported_in("// MiscTestCase.test_all\n// MiscTestCase.test_more\nTEST(Some, thing) {}\n") == ["MiscTestCase.test_more"]

"""The ring loops serve what the raw loops serve, and say where the kernel grants no ring."""
import ctypes
import errno
import struct

import pytest

import cases_ring
import turns
from cases_ring import EpollGreet, RingEcho, RingGreet, RingUdpEcho, with_one_for_all
from figures import QUICK

SYS_IO_URING_SETUP = 425
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
needs_ring = pytest.mark.skipif(cases_ring.refusal() != "", reason=cases_ring.refusal())


@needs_ring
@pytest.mark.parametrize("kind", [EpollGreet, RingGreet, with_one_for_all(RingGreet)], ids=lambda kind: kind.label)
def test_each_client_is_greeted_whoever_serves(kind):
    with kind(2) as server:
        turns.greet_load(server, 400, clients=8)


@needs_ring
def test_a_ring_echoes_more_than_it_has_buffers_for():
    with RingEcho(1) as server:
        with turns.Generator("echo_load", server, clients=100, bytes=64, rounds=2000) as load:
            assert load.run()["done"] >= 2000
        size_bytes = 64 << 20  # of 16 KiB there are 1024
        with turns.Generator("stream_load", server, bytes=size_bytes) as load:
            assert load.run()["done"] == size_bytes


@needs_ring
def test_a_ring_answers_datagrams():
    with RingUdpEcho(1) as server, turns.Generator("udp_load", server, window=32, rounds=2000) as load:
        assert load.run()["done"] >= 2000


def refuse_rings():
    """As a container's profile does: only that call, with EPERM."""
    load_number, is_it, allow, deny = (0x20, 0, 0, 0), (0x15, 0, 1, SYS_IO_URING_SETUP), (0x06, 0, 0, 0x7FFF0000), (
        0x06, 0, 0, 0x00050000 | errno.EPERM)
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in (load_number, is_it, deny, allow)))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(code)))
    libc = ctypes.CDLL(None)
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) == 0


@needs_ring
def test_a_refused_ring_is_a_sentence_in_each_of_its_rows():
    said = cases_ring.refusal(preexec_fn=refuse_rings)
    assert said == "the kernel refuses io_uring: Operation not permitted"
    rows = cases_ring.rows("greet", "us", {"raw C": [2.0], "epoll C": [1.0]}, said, ["ring C"])
    assert [(each.name, each.ratio, each.verdict(QUICK.quick)) for each in rows] == [
        ("greet: epoll C", 0.5, ""), ("greet: ring C", None, f"not measured: {said}")]


def test_what_was_built_without_the_library_is_said():
    assert cases_ring.refusal("ring_nothing") == "built without liburing"

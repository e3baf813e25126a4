"""PROXY headers as balancers write them.  Source: https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt"""
import socket
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
SOURCE, DESTINATION = ("192.0.2.1", 56324), ("198.51.100.2", 443)
LINE = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def binary(source=SOURCE, destination=DESTINATION, tlvs=b"", command=1, kind=socket.SOCK_STREAM):
    family = socket.AF_INET6 if ":" in source[0] else socket.AF_INET
    block = b"".join(socket.inet_pton(family, host) for host, _ in (source, destination))
    block += struct.pack("!HH", source[1], destination[1]) + tlvs
    family_and_protocol = (2 if family == socket.AF_INET6 else 1) << 4 | (1 if kind == socket.SOCK_STREAM else 2)
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, family_and_protocol, len(block)) + block


def telling(preforkd, trouble, handler_and_model, trusted):
    """Starts daemons whose handler says who its client is."""
    name, model = handler_and_model
    return lambda listen=trusted, *arguments, **how: preforkd("--handler", trouble(name), "--model", model, *arguments,
                                                              listen=listen, **how)

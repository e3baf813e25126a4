"""Headers that are none, each wrong in one way: {what is wrong with it: its bytes}."""
import socket
import struct

from proxy_sender import LINE, SIGNATURE, binary, tlv

ADDRESSES = {"TCP4": "192.0.2.1 192.0.2.2", "TCP6": "2001:db8::1 2001:db8::2"}
IPV6 = (("2001:db8::1", 1), ("2001:db8::2", 2))


def line(text, end="\r\n"):
    return (text + end).encode()


def version_1():
    whole = "PROXY TCP4 192.0.2.1 192.0.2.2 1 2"
    yield "ended by a line feed alone", line(whole, "\n")
    yield "ended by a carriage return alone", line(whole, "\r")
    yield "two blanks", line(whole.replace("TCP4 ", "TCP4  "))
    yield "a tabulator", line(whole.replace("TCP4 ", "TCP4\t"))
    yield "a leading blank", line(" " + whole)
    yield "a trailing blank", line(whole + " ")
    yield "small letters", line(whole.lower())
    yield "a family in small letters", line(whole.replace("TCP4", "tcp4"))
    yield "TCP5", line(whole.replace("TCP4", "TCP5"))
    yield "TCP4 of IPv6", line(f"PROXY TCP4 {ADDRESSES['TCP6']} 1 2")
    yield "TCP6 of IPv4", line(f"PROXY TCP6 {ADDRESSES['TCP4']} 1 2")
    yield "TCP4 to IPv6", line("PROXY TCP4 192.0.2.1 2001:db8::2 1 2")
    yield "TCP6 to IPv4", line("PROXY TCP6 2001:db8::1 192.0.2.2 1 2")
    for address in ("01.2.3.4", "1.2.3", "256.1.1.1", "1.2.3.4."):
        yield address, line(f"PROXY TCP4 {address} 192.0.2.2 1 2")
    for address in ("1::2::3", "1:2:3:4:5:6:7:8:9", "fe80::1%eth0", "::ffff:192.0.2.1"):
        yield address, line(f"PROXY TCP6 {address} ::1 1 2")
    yield "no addresses but of their letters", line("PROXY TCP4 :::: 1.2 1 2")
    for port in ("065", "+80", "-1", "65536", ""):
        yield f"the port {port or 'of no digits'}", line(f"PROXY TCP4 192.0.2.1 192.0.2.2 1 {port}")
    yield "a field too few", line("PROXY TCP4 192.0.2.1 192.0.2.2 1")
    yield "a field too many", line(whole + " 3")
    yield "a NUL", line(whole.replace("192.0.2.1 ", "192.0.2.1\0 "))
    yield "108 bytes", line("PROXY UNKNOWN " + "x" * 92)
    yield "UNKNOWNX", line("PROXY UNKNOWNX")
    yield "a line of HTTP that begins so", line("PROXY / HTTP/1.1")
    yield "cut by the end of the stream", LINE[:-2]


def version_2():
    whole = binary()
    for place in range(len(SIGNATURE)):
        yield f"another byte {place} of the signature", whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1:]
    for version in (0, 1, 3):
        yield f"version {version}", whole[:12] + bytes([version << 4 | 1]) + whole[13:]
    for command in range(2, 16):
        yield f"command {command}", whole[:12] + bytes([0x20 | command]) + whole[13:]
    for family in range(4, 16):
        yield f"family {family}", whole[:13] + bytes([family << 4 | 1]) + whole[14:]
    for protocol in range(3, 16):
        yield f"protocol {protocol}", whole[:13] + bytes([0x10 | protocol]) + whole[14:]
    yield "of a datagram, on a stream", binary(kind=socket.SOCK_DGRAM)
    yield "IPv4 in 11 bytes", with_length(whole[:-1], 11)
    yield "IPv6 in 35 bytes", with_length(binary(*IPV6)[:-1], 35)
    yield "Unix in 215 bytes", SIGNATURE + b"\x21\x31" + struct.pack("!H", 215) + b"x" * 215
    yield "IPv4 in no bytes", with_length(whole[:16], 0)
    yield "65535 bytes, of which some come", with_length(whole, 65535)
    yield "a TLV of one byte", binary(tlvs=b"\4")
    yield "a TLV of two bytes", binary(tlvs=b"\4\0")
    yield "a TLV that is longer than the rest", binary(tlvs=b"\4\0\4abc")
    yield "a wrong checksum", binary(tlvs=tlv(3, b"\1\2\3\4"))
    yield "a checksum of three bytes", binary(tlvs=tlv(3, b"\1\2\3"))
    yield "two checksums", binary(tlvs=two_checksums())
    yield "a unique id of 129 bytes", binary(tlvs=tlv(5, b"x" * 129))
    yield "an authority of 256 bytes", binary(tlvs=tlv(2, b"x" * 256))
    yield "TLS in four bytes", binary(tlvs=tlv(0x20, b"\1\0\0\0"))
    yield "TLS whose version is longer than it", binary(tlvs=tlv(0x20, b"\1\0\0\0\0\x21\0\x09TLSv1.3"))
    yield "15 bytes", whole[:15]


def with_length(header, size):
    return header[:14] + struct.pack("!H", size) + header[16:]


def two_checksums():
    """Of which the first is right."""
    second = tlv(3, bytes(4))
    return tlv(3, struct.pack("!I", crc32c(binary(tlvs=tlv(3, bytes(4)) + second)))) + second


def crc32c(data):
    """Source: RFC 9260, Appendix A."""
    rest = 0xFFFFFFFF
    for byte in data:
        rest ^= byte
        for _ in range(8):
            rest = rest >> 1 ^ (0x82F63B78 if rest & 1 else 0)
    return rest ^ 0xFFFFFFFF


ALL = dict(version_1()) | dict(version_2())

"""One UDP datagram over IPv4 with any source, as root: `forged_datagram.py HOST:PORT HOST:PORT TEXT`."""
import socket
import struct
import sys


def send(source, destination, data):
    """Source and destination: (host, port).  The kernel fills in the header's checksum; UDP's may be 0.  Source: raw(7)."""
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(data), 0, 0, 64, socket.IPPROTO_UDP, 0,
                         socket.inet_aton(source[0]), socket.inet_aton(destination[0]))
    datagram = struct.pack("!HHHH", source[1], destination[1], 8 + len(data), 0) + data
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(header + datagram, (destination[0], 0))


def address(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    send(address(sys.argv[1]), address(sys.argv[2]), sys.argv[3].encode())

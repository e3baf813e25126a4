#!/usr/bin/python3 -SE
"""What greet and echo serve, as a program that accepts by itself: which of both a socket is for, its address says.

At TERM it takes nobody more, finishes what it serves, and ends."""
import os
import select
import signal
import socket
import sys
import threading


def endpoint_of(queue):
    name = queue.getsockname()
    return f"unix://{name}" if queue.family == socket.AF_UNIX else "tcp://%s:%d" % name[:2]


def name_of(peer):
    return "@" + peer[1:].decode() if isinstance(peer, bytes) else "%s:%d" % peer[:2] if isinstance(peer, tuple) else peer


def say(line):
    try:
        os.write(1, line.encode() + b"\n")
    except OSError:  # the process above, which reads it, was struck
        pass


def greet(client):
    client.sendall(b"connected\n")
    client.shutdown(socket.SHUT_WR)
    while client.recv(1 << 16):
        pass


def echo(client):
    while data := client.recv(1 << 16):
        client.sendall(data)


def serve(client, handler):
    with client:
        try:
            handler(client)
        except OSError:
            pass


def main():
    asked, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told)
    signal.signal(signal.SIGTERM, lambda signo, frame: None)
    queues = [socket.socket(fileno=3 + number) for number in range(int(os.environ["LISTEN_FDS"]))]
    for queue in queues:
        queue.setblocking(False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(b"READY=1", "\0" + os.environ["NOTIFY_SOCKET"][1:])
    threads = []
    while True:
        ready = select.select([*queues, asked], [], [])[0]
        if asked in ready:
            break
        threads = [thread for thread in threads if thread.is_alive()]
        for queue in ready:
            try:
                client, peer = queue.accept()
            except BlockingIOError:  # a sibling has taken it
                continue
            endpoint = endpoint_of(queue)
            say(f"got connection from {name_of(peer)} at {endpoint}")
            client.setblocking(True)
            handler = greet if "127.0.0.1:" in endpoint or endpoint.endswith("/greet") else echo
            threads.append(threading.Thread(target=serve, args=(client, handler)))
            threads[-1].start()
    for queue in queues:
        queue.close()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    sys.exit(main())

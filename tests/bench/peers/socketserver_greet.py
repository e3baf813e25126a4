"""The classic: a few lines of Python's socketserver.  `socketserver_greet.py plain|threading|forking`.

Prints the endpoint it listens on.
"""
import socketserver
import sys


class Greet(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"connected\n")


KINDS = {"plain": (), "threading": (socketserver.ThreadingMixIn,), "forking": (socketserver.ForkingMixIn,)}


class Server(*KINDS[sys.argv[1]], socketserver.TCPServer):
    request_queue_size = 511  # its own 5 would measure the clients' retransmissions


with Server(("127.0.0.1", 0), Greet) as server:
    print(f"tcp://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()

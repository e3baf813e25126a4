"""The classic: seven lines of Python's socketserver.  Prints the endpoint it listens on."""
import socketserver


class Greet(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"connected\n")


class Server(socketserver.TCPServer):
    request_queue_size = 511  # its own 5 would measure the clients' retransmissions


with Server(("127.0.0.1", 0), Greet) as server:
    print(f"tcp://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()

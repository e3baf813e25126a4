"""An HTTP server on the sockets that it is given: LISTEN_FDS from descriptor 3 on."""
import http.server
import os
import signal
import socket
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"hello from {os.getpid()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False  # server_close() waits for them

    def __init__(self, fd):
        super().__init__(("", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.socket(fileno=fd)
        self.socket.setblocking(False)  # a sibling may have taken the client that woke us


servers = [Server(3 + number) for number in range(int(os.environ["LISTEN_FDS"]))]
threads = [threading.Thread(target=server.serve_forever, args=(0.1,)) for server in servers]
stops = {signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, stops)
for thread in threads:
    thread.start()
signal.sigwait(stops)
for server in servers:
    server.shutdown()
    server.server_close()

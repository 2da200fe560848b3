"""A server at one port that can be away: then nobody listens there, and who was connected is cut off."""

import contextlib
import socket
import socketserver
import threading


class Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients go when they like

    def get_request(self):
        request = super().get_request()
        self.open.append(request[0])
        return request


class Listening:
    """Listens from the beginning, with a handler of `socketserver`."""

    def __init__(self, handler):
        self.handler, self.port, self.server = handler, 0, None
        self.start()

    def start(self):
        self.server = Tcp(("127.0.0.1", self.port), self.handler)
        self.server.open = []
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        if self.server is None:
            return
        self.server.shutdown()
        self.server.server_close()
        for connection in self.server.open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server = None

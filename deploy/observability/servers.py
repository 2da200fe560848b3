"""What the shop speaks with outside: a mail server and a collector of traces. Both take everything."""

import http.server
import socketserver

from listening import Listening


class Smtp(socketserver.StreamRequestHandler):
    timeout = 60

    def handle(self):
        self.reply("220 ready")
        for line in self.rfile:
            command = line[:4].upper()
            if command == b"DATA":
                self.reply("354 go on")
                while self.rfile.readline() not in (b".\r\n", b""):
                    pass
            self.reply({b"EHLO": "250 quadrille", b"QUIT": "221 bye"}.get(command, "250 fine"))
            if command == b"QUIT":
                return

    def reply(self, text):
        self.wfile.write(f"{text}\r\n".encode())


class Otlp(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):  # noqa: N802, as the library has it
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def mail():
    return Listening(Smtp)


def collector():
    return Listening(Otlp)

# A service that does what an application must not: bodies that it does not read, bodies where there may be none.
import http.server
import os


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def say(self, status, body, length=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        own = self.path.encode()
        foreign = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nforeign"
        if self.path == "/204":
            self.send_response(204)
            self.end_headers()
            self.wfile.write(foreign)
        elif self.path == "/304":
            self.send_response(304)
            self.end_headers()
            self.wfile.write(foreign)
        elif self.path == "/short":
            self.say(200, b"ok")
            self.wfile.write(foreign)
        elif self.path == "/smuggled":
            forwarded = self.headers.get("X-Forwarded-For", "")
            self.say(200, b"foreign " + forwarded.encode())
        else:
            self.say(200, own)

    # As many applications do, and with a body, as none may.
    do_HEAD = do_GET

    # The body is not read.
    def do_POST(self):
        self.say(200, b"posted")

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()

# A WSGI application with the paths the suites ask for. It writes down the ids it executes, one line each.
import os
import time
from urllib.parse import parse_qs

RELEASE = os.environ["GAPLESS_RELEASE"]
SEEN = os.open(os.environ["SAMPLE_SEEN_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def application(environ, start_response):
    body = environ["wsgi.input"].read()
    path, query = environ["PATH_INFO"], parse_qs(environ["QUERY_STRING"])
    if path == "/healthz":
        start_response("200 OK", [("Content-Length", "5")])
        return [b"well\n"]
    load_id = environ.get("HTTP_X_LOAD_ID")
    if load_id:
        os.write(SEEN, f"{load_id} {environ['REQUEST_METHOD']} {RELEASE} {os.getpid()}\n".encode())
    if path == "/slow":
        time.sleep(int(query["ms"][0]) / 1000)
    if path == "/large":
        body = b"x" * int(query["bytes"][0])
    if not body:
        body = b"." * 1024
    headers = [("Content-Length", str(len(body))), ("X-Release", RELEASE)]
    if load_id:
        headers.append(("X-Load-Id", load_id))
    start_response("200 OK", headers)
    return [body]

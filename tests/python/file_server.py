"""A web server on this machine that serves one file in every way in which mirrors go wrong."""

import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Serves ``content`` at any path.

    ranges: whether parts can be asked for. cut: bytes after which each answer's connection is
    closed, one number an answer; the list is used up. status: an error status for every answer.
    stall: bytes after which an answer comes to a halt until the server ends (None: never). mime:
    the type it claims. length: whether it tells the file's length. asked: the Range headers
    that came."""

    daemon_threads = True

    def __init__(
        self, content=b"", ranges=True, cut=(), status=200, mime="", length=True, stall=None
    ):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content, self.ranges, self.cut = content, ranges, list(cut)
        self.status, self.mime, self.length = status, mime or "application/octet-stream", length
        self.asked, self.stall, self.ended = [], stall, threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/file"


class _Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(self.server.status)
        if self.server.length:
            self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()

    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        if server.status != 200:
            self.send_error(server.status)
            return
        start = 0
        if wanted and server.ranges:
            start = int(re.match(r"bytes=(\d+)-$", wanted).group(1))
            if start >= len(server.content):
                self.send_error(416)
                return
        self.send_response(206 if wanted and server.ranges else 200)
        self.send_header("Content-Type", server.mime)
        body = server.content[start:]
        if server.length:
            self.send_header("Content-Length", str(len(body)))
        if wanted and server.ranges:
            end, total = start + len(body) - 1, len(server.content)
            self.send_header("Content-Range", f"bytes {start}-{end}/{total}")
        self.end_headers()
        self.wfile.write(body[: server.cut.pop(0)] if server.cut else body[: server.stall])
        if server.stall is not None:
            server.ended.wait(30)

    def log_message(self, *_):
        pass


@contextmanager
def serving(*args, **kwargs):
    server = Server(*args, **kwargs)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def dead_url():
    """An address where nobody answers."""
    server = Server()
    server.server_close()
    return server.url

"""A web server on loopback that serves a folder, and misbehaves as a test tells it to."""

import http.server
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Fault = Callable[["Handler", bytes], None]


class Server(http.server.ThreadingHTTPServer):
    """Serves `root`. `faults[path]` is a list of faults, one for each coming request of that path, then none."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.root = root
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.always: dict[str, Fault] = {}
        self.takes_ranges = True
        self.delay_s = 0.0
        self.requests: Counter[str] = Counter()
        self.ranges: list[tuple[str, str]] = []
        self.sent: Counter[str] = Counter()
        self.open = self.most_open = 0
        self.guard = threading.Lock()
        self.stopped = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Cut connections are what the tests are about: no tracebacks on stderr."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        with self.server.guard:
            self.server.open += 1
            self.server.most_open = max(self.server.most_open, self.server.open)

    def finish(self) -> None:
        super().finish()
        with self.server.guard:
            self.server.open -= 1

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        server, path = self.server, self.path.lstrip("/")
        with server.guard:
            server.requests[path] += 1
            if "Range" in self.headers:
                server.ranges.append((path, self.headers["Range"]))
            waiting = server.faults[path]
            fault = waiting.pop(0) if waiting else server.always.get(path)
        time.sleep(server.delay_s)
        file = server.root / path
        if not file.is_file():
            return self.reply(404, b"nothing here")
        content = file.read_bytes()
        return fault(self, content) if fault else self.serve(content)

    def serve(self, content: bytes, announced: int | None = None) -> None:
        """Answer with a file or its range; `announced` is how long the answer claims to be where that is a lie."""
        wanted = self.headers.get("Range")
        if wanted is None or not self.server.takes_ranges:
            return self.reply(200, content, announced)
        begin = int(wanted.removeprefix("bytes=").rstrip("-"))
        if begin >= len(content):
            return self.reply(416, b"", headers={"Content-Range": f"bytes */{len(content)}"})
        rest = content[begin:]
        span = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        return self.reply(206, rest, None if announced is None else announced - begin, {"Content-Range": span})

    def reply(
        self, status: int, body: bytes, announced: int | None = None, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if announced is None else announced))
        self.end_headers()
        self.wfile.write(body)
        with self.server.guard:
            self.server.sent[self.path.lstrip("/")] += len(body)


def cut_at(length: int) -> Fault:
    """Close the connection once the first `length` bytes of the file were sent."""

    def fault(handler: Handler, content: bytes) -> None:
        handler.serve(content[:length], announced=len(content))
        handler.close_connection = True

    return fault


def stall(handler: Handler, content: bytes) -> None:
    """Send half a file, then nothing until the server is stopped."""
    handler.serve(content[: len(content) // 2], announced=len(content))
    handler.wfile.flush()
    handler.server.stopped.wait(10)
    handler.close_connection = True


def wrong_bytes(handler: Handler, content: bytes) -> None:
    handler.serve(bytes(255 - byte for byte in content))


def status(code: int, **headers: str) -> Fault:
    """Answer with a status and headers (`Retry_After` for Retry-After)."""

    def fault(handler: Handler, content: bytes) -> None:  # noqa: ARG001
        handler.reply(code, b"no", headers={name.replace("_", "-"): value for name, value in headers.items()})

    return fault


def answer(code: int, body: bytes = b"", **headers: str) -> Fault:
    """Answer with these headers and no others (`Content_Length` for Content-Length), then close the connection."""

    def fault(handler: Handler, content: bytes) -> None:  # noqa: ARG001
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = True

    return fault


def endless(handler: Handler, content: bytes) -> None:  # noqa: ARG001
    """A body without a stated length that never ends."""
    answer(200)(handler, b"")
    while not handler.server.stopped.is_set():
        handler.wfile.write(bytes(1 << 16))
        with handler.server.guard:
            handler.server.sent[handler.path.lstrip("/")] += 1 << 16


def drip(handler: Handler, content: bytes) -> None:
    """The right file, a byte at a time, twenty a second: never silent, never done."""
    answer(200, Content_Length=str(len(content)))(handler, b"")
    _drip(handler, content)


def drip_header(handler: Handler, content: bytes) -> None:  # noqa: ARG001
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    _drip(handler, b"a" * 10_000)


def _drip(handler: Handler, content: bytes) -> None:
    for byte in content:
        if handler.server.stopped.wait(0.05):
            return
        handler.wfile.write(bytes([byte]))


@contextmanager
def serve(root: Path) -> Iterator[Server]:
    with Server(root) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.stopped.set()
            server.shutdown()
            thread.join()

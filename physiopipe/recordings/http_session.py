"""A session of `requests` that follows no redirection by itself and can be interrupted, and the pace it must keep.

`requests` reads the whole body of a redirection, and its time-outs start again with each byte: a server could make it
use any amount of memory, or of time. Credentials come from ~/.netrc, as always with `requests`.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

import requests
from requests.adapters import HTTPAdapter


class InterruptibleSession(requests.Session):
    """One thread makes requests, one at a time; another may end the request under way."""

    def __init__(self) -> None:
        super().__init__()
        self._sockets: WeakSet[socket.socket] = WeakSet()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(self._sockets))

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        """None: a redirection is an answer like others."""
        return None

    def interrupt(self) -> None:
        """Make whatever waits for the server, or reads from it, find the connection closed."""
        for opened in list(self._sockets):
            with contextlib.suppress(OSError):  # it is closed already
                opened.shutdown(socket.SHUT_RDWR)


class _Adapter(HTTPAdapter):
    """Notes the sockets that it opens, before anything is read from them: a slow header is interrupted too."""

    def __init__(self, noted: WeakSet[socket.socket]) -> None:
        super().__init__()
        self._noted = noted

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **options)
        noted, plain = self._noted, pool.ConnectionCls
        if not getattr(plain, "is_noted", False):

            class Noted(plain):  # type: ignore[valid-type,misc]
                is_noted = True

                def connect(self) -> None:
                    super().connect()
                    noted.add(self.sock)  # the connection itself forgets it where the answer has no length

            pool.ConnectionCls = Noted
        return pool


class Pace:
    """Context manager of one transfer, with all its tries: calls `interrupt` once it is slower than it may be.

    It may take `patience_s`, what was excused, and a second for each `least_bytes_per_s` received.

    Attributes:
        received: bytes that came, in all tries.
        exceeded: whether it took too long.
    """

    def __init__(self, interrupt: Callable[[], None], patience_s: float, least_bytes_per_s: float) -> None:
        self.received = 0
        self.exceeded = False
        self._interrupt, self._least_bytes_per_s = interrupt, least_bytes_per_s
        self._allowed_s = patience_s
        self._begin = time.monotonic()
        self._done = False
        self._guard = threading.Lock()  # after __exit__ nothing is interrupted: the session is at the next file
        self._timer = threading.Timer(0, self._look)

    def excuse(self, seconds: float) -> None:
        """So many seconds of waiting were the server's wish."""
        self._allowed_s += seconds

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return time.monotonic() - self._begin

    def __enter__(self) -> Self:
        self._look_in(self._left_s())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._guard:
            self._done = True
            self._timer.cancel()

    def _left_s(self) -> float:
        return self._allowed_s + self.received / self._least_bytes_per_s - self.seconds

    def _look(self) -> None:
        with self._guard:
            if self._done:
                return
            left_s = self._left_s()
            if left_s <= 0:
                self.exceeded = True
                self._interrupt()
                left_s = 0.2  # again, in case a connection was just being opened
            self._look_in(left_s)

    def _look_in(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._look)
        self._timer.daemon = True
        self._timer.start()

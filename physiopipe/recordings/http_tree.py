"""A published tree on a web server (https, http): retries with growing waits, and byte ranges to go on where it broke.

Standard library only, and `requests` once there is something to fetch.
"""

import contextlib
import email.utils
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote

from physiopipe.errors import PhysiopipeError
from physiopipe.recordings.transport import Connection, MissingFile, Tree

if TYPE_CHECKING:
    import requests

    from physiopipe.params import Run

FIRST_WAIT_S = 1.0  # then doubled from try to try, never above the time-out
LONGEST_RETRY_AFTER_S = 600.0
_BLOCK_BYTES = 4096  # small: what a broken connection had sent of the last block is lost


class _TryAgain(Exception):  # noqa: N818 - always caught here
    """A fault that may pass, and how long the server asks to be left alone."""

    def __init__(self, found: str, wait_s: float = 0.0) -> None:
        super().__init__(found)
        self.wait_s = wait_s


class HttpTree(Tree):
    """A tree on a web server; each connection is a session of its own, so what is open can be counted."""

    remote = True

    def __init__(self, base_url: str, run: "Run") -> None:
        self.base_url = base_url
        self.run = run

    @contextmanager
    def connect(self, stop: threading.Event | None = None) -> Iterator[Connection]:
        import requests

        with requests.Session() as session:
            yield _HttpConnection(self, session, stop or threading.Event())

    def bytes_needed(self, relative: str, folder: Path) -> int | None:  # noqa: ARG002
        return None


class _HttpConnection(Connection):
    def __init__(self, tree: HttpTree, session: "requests.Session", stop: threading.Event) -> None:
        self._tree, self._session, self._stop = tree, session, stop

    def locate(self, relative: str) -> str:
        return f"{self._tree.base_url}/{quote(relative)}"

    def bring(self, relative: str, partial: Path) -> None:
        if partial.exists() and partial.stat().st_nlink > 1:
            partial.unlink()  # a link to a file of some folder: appending here would write there
        with partial.open("ab+") as sink:
            try:
                self._receive(relative, sink)
            except BaseException:
                if sink.seek(0, io.SEEK_END) == 0:
                    partial.unlink(missing_ok=True)
                raise

    def read(self, relative: str) -> bytes:
        sink = io.BytesIO()
        self._receive(relative, sink)
        return sink.getvalue()

    def _receive(self, relative: str, sink: BinaryIO) -> None:
        run, url = self._tree.run, self.locate(relative)
        furthest = sink.seek(0, io.SEEK_END)
        failures = 0
        while True:
            try:
                return self._try(url, sink)
            except _TryAgain as fault:
                reached = sink.seek(0, io.SEEK_END)
                failures = 1 if reached > furthest else failures + 1  # a try that got further was not in vain
                furthest = max(furthest, reached)
                if failures > run.retries:
                    raise PhysiopipeError(
                        f"{url} could not be had: {fault} (the last of {failures} tries without progress, "
                        f"{reached} bytes received). Check the network and data.challenge.base_url, then run again: "
                        "it goes on where it stopped. run.retries and run.timeout_s are the limits."
                    ) from None
                wait_s = max(fault.wait_s, min(FIRST_WAIT_S * 2 ** (failures - 1), run.timeout_s))
                if self._stop.wait(wait_s):
                    raise PhysiopipeError(f"{url} was given up: another file of this batch failed.") from None

    def _try(self, url: str, sink: BinaryIO) -> None:
        import requests

        offset = sink.seek(0, io.SEEK_END)
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
        silence_s = self._tree.run.timeout_s
        try:
            with self._session.get(url, headers=headers, stream=True, timeout=(silence_s, silence_s)) as response:
                if self._answers_with_a_body(response, url, sink, offset):
                    expected = response.headers.get("Content-Length", "")
                    begin = sink.tell()
                    for block in response.iter_content(_BLOCK_BYTES):
                        sink.write(block)
                    received = sink.tell() - begin
                    encoded = "Content-Encoding" in response.headers
                    if expected.isdecimal() and received != int(expected) and not encoded:
                        raise _TryAgain(f"the connection ended after {received} of {expected} bytes")
        except (requests.exceptions.InvalidURL, requests.exceptions.TooManyRedirects) as error:
            raise PhysiopipeError(f"{url} cannot be asked for ({error}): correct data.challenge.base_url.") from None
        except requests.RequestException as error:
            raise _TryAgain(_plain(error, silence_s)) from None

    def _answers_with_a_body(self, response: "requests.Response", url: str, sink: BinaryIO, offset: int) -> bool:
        """Whether the answer's body is to be appended to `sink`, which is emptied where it begins anew."""
        status = response.status_code
        if status == 206:
            if not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
                sink.truncate(0)
                raise _TryAgain("the server answered with another range than the one asked for")
            return True
        if status == 200:
            if offset:  # the server takes no ranges
                sink.truncate(0)
                sink.seek(0)
            return True
        if status == 416 and offset:
            if response.headers.get("Content-Range", "") == f"bytes */{offset}":
                return False  # the partial file was whole
            sink.truncate(0)
            raise _TryAgain("the partial file was longer than the server's")
        if status in (404, 410):
            raise MissingFile(f"HTTP {status}")
        if status in (408, 429) or status >= 500:
            raise _TryAgain(f"HTTP {status} {response.reason}", _retry_after_s(response.headers.get("Retry-After", "")))
        raise PhysiopipeError(
            f"{url}: expected the file, found HTTP {status} {response.reason}. Open the address in a browser: where it "
            "asks for access, get that first; else correct data.challenge.base_url."
        )


def _retry_after_s(value: str) -> float:
    seconds = 0.0
    if value.strip().isdecimal():
        seconds = float(value)
    else:
        with contextlib.suppress(TypeError, ValueError):
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S)


def _plain(error: Exception, silence_s: float) -> str:
    text = str(error)
    if "timed out" in text.lower():
        return f"no answer for {silence_s:g} s"
    for known in ("Name or service not known", "Temporary failure in name resolution", "Connection refused"):
        if known in text:
            return f"the host cannot be reached ({known.lower()})"
    if "IncompleteRead" in text or "RemoteDisconnected" in text or "Connection reset" in text:
        return "the server closed the connection before the end"
    return f"the connection broke ({type(error).__name__}: {text[:200]})"

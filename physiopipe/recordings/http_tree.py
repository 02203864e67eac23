"""A published tree on a web server (https, http): retries with growing waits, and byte ranges to go on where it broke.

Standard library only, and `requests` once there is something to fetch.
"""

import contextlib
import email.utils
import io
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote, urljoin, urlsplit

from physiopipe.errors import PhysiopipeError
from physiopipe.files import shorten
from physiopipe.recordings.transport import Connection, MissingFile, Tree, check_address, largest_bytes, too_large

if TYPE_CHECKING:
    import requests

    from physiopipe.params import Run
    from physiopipe.recordings.http_session import InterruptibleSession, Pace

FIRST_WAIT_S = 1.0  # then doubled from try to try, never above the time-out
LONGEST_RETRY_AFTER_S = 600.0  # whatever the server asks for
LONGEST_EXCUSED_S = 3600.0  # of one file's waits that the server asked for; beyond, they count as slowness
LEAST_BYTES_PER_S = 1000.0  # on average over a whole file, after some patience
MOST_REDIRECTIONS = 5
_SPAN = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_UNREACHABLE = (
    "Name or service not known",
    "No address associated with hostname",
    "Temporary failure in name resolution",
    "Connection refused",
    "No route to host",
    "Network is unreachable",
    "certificate verify failed",
    "Cannot connect to proxy",
    "407 Proxy Authentication Required",
)
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
        check_address(base_url)
        self.base_url = base_url
        self.run = run

    @contextmanager
    def connect(self, stop: threading.Event | None = None) -> Iterator[Connection]:
        from physiopipe.recordings.http_session import InterruptibleSession

        with InterruptibleSession() as session:
            yield _HttpConnection(self, session, stop or threading.Event())

    def bytes_needed(self, relative: str, folder: Path) -> int | None:  # noqa: ARG002
        return None


class _HttpConnection(Connection):
    def __init__(self, tree: HttpTree, session: "InterruptibleSession", stop: threading.Event) -> None:
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
        from physiopipe.recordings.http_session import Pace

        run, url = self._tree.run, self.locate(relative)
        furthest = sink.seek(0, io.SEEK_END)
        failures = 0
        excused_s = 0.0
        patience_s = 2 * (run.retries + 1) * run.timeout_s  # each try may be silent once, and wait once
        with Pace(self._session.interrupt, patience_s, LEAST_BYTES_PER_S) as pace:
            while True:
                try:
                    return self._try(relative, url, sink, pace)
                except _TryAgain as fault:
                    found, asked_s = str(fault), fault.wait_s
                reached = sink.seek(0, io.SEEK_END)
                failures = 1 if reached > furthest else failures + 1  # a try that got further was not in vain
                furthest = max(furthest, reached)
                if pace.exceeded:
                    raise PhysiopipeError(
                        f"{url} comes too slowly: {pace.received} bytes in {pace.seconds:.0f} s, expected at least "
                        f"{LEAST_BYTES_PER_S:g} a second over the whole file. Run again later (it goes on where it "
                        "stopped), or take another mirror as base_url."
                    )
                if failures > run.retries:
                    raise PhysiopipeError(
                        f"{url} could not be had: {found} (the last of {failures} tries without progress, "
                        f"{reached} bytes received). Check the network and base_url, then run again: "
                        "it goes on where it stopped. run.retries and run.timeout_s are the limits."
                    )
                excused_s += asked_s
                if excused_s <= LONGEST_EXCUSED_S:
                    pace.excuse(asked_s)
                self._wait(url, found, asked_s, min(FIRST_WAIT_S * 2 ** (failures - 1), run.timeout_s))

    def _wait(self, url: str, found: str, asked_s: float, own_s: float) -> None:
        wait_s, why = (asked_s, "the server asked for it") if asked_s > own_s else (own_s, "then it is tried again")
        print(f"download: waiting {wait_s:g} s: {why} ({found}, {url})", flush=True)
        if self._stop.wait(wait_s):
            raise PhysiopipeError(f"{url} was given up: another file of this batch failed.")

    def _try(self, relative: str, url: str, sink: BinaryIO, pace: "Pace") -> None:
        import requests
        import urllib3

        offset = sink.seek(0, io.SEEK_END)
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
        silence_s = self._tree.run.timeout_s
        try:
            with self._get(url, headers, silence_s) as response:
                if self._answers_with_a_body(response, url, sink, offset):
                    self._append(response, relative, sink, pace)
        except (requests.exceptions.InvalidURL, urllib3.exceptions.LocationParseError):
            raise PhysiopipeError(
                f"{url} cannot be asked for: correct base_url, or the proxy that the environment names."
            ) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise _TryAgain(_plain(error, silence_s)) from None
        if pace.exceeded:  # the end of the connection is not the end of the file
            raise _TryAgain("too slow")

    def _get(self, url: str, headers: dict[str, str], silence_s: float) -> "requests.Response":
        """The answer to a request, redirections followed; its body is still to be read."""
        at = url
        for _ in range(MOST_REDIRECTIONS + 1):
            response = self._session.get(at, headers=headers, stream=True, timeout=(silence_s, silence_s))
            if response.status_code not in (301, 302, 303, 307, 308):
                return response
            response.close()
            found = urljoin(at, response.headers.get("Location", ""))
            known = urlsplit(found)
            if known.scheme not in ("http", "https") or (at.startswith("https:") and known.scheme == "http"):
                raise _refused(url, "it is sent on to an address that is not https")
            if "@" in known.netloc:
                raise _refused(url, "it is sent on to an address with a user name or a password")
            at = found
        raise _refused(url, f"it is sent on more than {MOST_REDIRECTIONS} times")

    def _append(self, response: "requests.Response", relative: str, sink: BinaryIO, pace: "Pace") -> None:
        """Write the answer's body to `sink`, never more than such a file may have."""
        most, where = largest_bytes(relative), self.locate(relative)
        announced = response.headers.get("Content-Length")
        if announced is not None and not re.fullmatch(r"[0-9]{1,18}", announced):
            raise _TryAgain(f"a Content-Length that is no number of bytes: {shorten(announced, 40)}")
        expected = None if announced is None else int(announced)
        begin = sink.tell()
        try:
            if begin + (expected or 0) > most:
                raise too_large(where, relative)
            for block in response.iter_content(_BLOCK_BYTES):
                pace.received += len(block)
                if sink.tell() + len(block) > most:
                    raise too_large(where, relative)
                sink.write(block)
        except PhysiopipeError:
            sink.truncate(0)
            raise
        received = sink.tell() - begin
        if expected is not None and received != expected:
            raise _TryAgain(f"the connection ended after {received} of {expected} bytes")

    def _answers_with_a_body(self, response: "requests.Response", url: str, sink: BinaryIO, offset: int) -> bool:
        """Whether the answer's body is to be appended to `sink`, which is emptied where it begins anew."""
        status = response.status_code
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if status in (200, 206) and encoding not in ("", "identity"):
            raise PhysiopipeError(
                f"{url} comes encoded as {shorten(encoding, 40)}, and its plain bytes were asked for: nothing is "
                "unpacked here, since a small answer may unpack to any size. Take another mirror as "
                "base_url, or mend the server or proxy that encodes it."
            )
        if status == 206:
            span = _SPAN.fullmatch(response.headers.get("Content-Range", ""))
            if not offset or span is None or int(span[1]) != offset or span[3] not in ("*", str(int(span[2]) + 1)):
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
        reason = shorten(response.reason or "", 60)
        if status in (408, 429) or status >= 500:
            raise _TryAgain(f"HTTP {status} {reason}", _retry_after_s(response.headers.get("Retry-After", "")))
        raise PhysiopipeError(
            f"{url}: expected the file, found HTTP {status} {reason}. Open the address in a browser: where it asks for "
            "access, get that first, and put user name and password into ~/.netrc; else correct "
            "base_url."
        )


def _refused(url: str, why: str) -> PhysiopipeError:
    return PhysiopipeError(f"{url} is not fetched: {why}. Give the address that it really has as base_url.")


def _retry_after_s(value: str) -> float:
    seconds = 0.0
    if re.fullmatch(r"\s*[0-9]+\s*", value):
        seconds = float(value)
    else:
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S)


def _plain(error: Exception, silence_s: float) -> str:
    """What broke, in words of our own: the library's hold addresses, and with them keys and proxies' passwords."""
    text = str(error)
    if "timed out" in text.lower():
        return f"no answer for {silence_s:g} s"
    for known in _UNREACHABLE:
        if known in text:
            return f"the host cannot be reached ({known.lower()})"
    if any(
        known in text for known in ("IncompleteRead", "RemoteDisconnected", "Connection reset", "Connection broken")
    ):
        return "the server closed the connection before the end"
    return f"the connection broke ({type(error).__name__})"

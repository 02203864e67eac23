"""Headless Chromium over its DevTools protocol, on two pipes: what a page asks for, says and looks like."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from select import select
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-default-apps",
    "--disable-extensions", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
_INSIDE = ("data:", "blob:", "about:")


@dataclass
class Page:
    """An open page.

    Attributes:
        asked: addresses that it asked for, other than data inside it and the file itself.
        complaints: errors and warnings of its console, uncaught exceptions, loads that failed.
    """

    _write: int
    _read: int
    _process: "subprocess.Popen[bytes]"
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _session: str = ""
    _address: str = ""
    _number: int = 0
    _loaded: bool = False
    _pending: bytes = b""

    def call(self, method: str, **params: Any) -> Any:
        """The result of a command of the protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next(60)
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def open(self, path: Path, width: int, height: int, phone: bool = False) -> None:
        """Load a file in a window (or a phone's screen) of this size in CSS pixels."""
        self.asked.clear()
        self.complaints.clear()
        self._loaded, self._address = False, path.as_uri()
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )  # fmt: skip
        self.call("Page.navigate", url=self._address)
        while not self._loaded:
            self._next(60)
        self.wait(0.5)  # for what scripts ask for later

    def wait(self, seconds: float) -> None:
        """Let the page go on for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._next(left, or_nothing=True)

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def screenshot(self, path: Path, top: int = 0, height: int | None = None) -> None:
        """Draw the page from `top`, `height` CSS pixels of it (else all), as PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": top, "width": size["width"], "height": height or size["height"] - top, "scale": 1}
        drawn = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(drawn["data"]))

    def attach(self) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def _next(self, timeout_s: float, or_nothing: bool = False) -> dict[str, Any]:
        end = time.monotonic() + timeout_s
        while b"\0" not in self._pending:
            left = end - time.monotonic()
            if left <= 0 or not select([self._read], [], [], left)[0]:
                assert or_nothing, f"Chromium is silent for {timeout_s:.0f} s"
                return {}
            chunk = os.read(self._read, 1 << 20)
            assert chunk, f"Chromium ended with {self._process.wait()}"
            self._pending += chunk
        message, _, self._pending = self._pending.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        self._note(answer.get("method", ""), answer.get("params", {}))
        return answer

    def _note(self, event: str, about: dict[str, Any]) -> None:
        if event == "Page.loadEventFired":
            self._loaded = True
        elif event in ("Network.requestWillBeSent", "Network.webSocketCreated"):
            url = str(about.get("url") or about["request"]["url"])
            if not url.startswith(_INSIDE) and url.partition("#")[0] != self._address:
                self.asked.append(url)
        elif event == "Network.loadingFailed":
            self.complaints.append(f"not loaded: {about.get('errorText')} {about.get('blockedReason', '')}")
        elif event == "Runtime.exceptionThrown":
            details = about["exceptionDetails"]
            self.complaints.append(str(details.get("exception", details).get("description", details)))
        elif event == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
            self.complaints.append(" ".join(str(each.get("value", each)) for each in about["args"]))
        elif event == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            self.complaints.append(about["entry"]["text"])


@contextmanager
def chromium(profile: Path, *flags: str) -> Iterator[Page]:
    """A headless Chromium with a profile of its own, ended on the way out."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    program = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'  # the protocol wants descriptors 3 and 4
    process = subprocess.Popen(
        ["bash", "-c", program, str(CHROMIUM), *_FLAGS, f"--user-data-dir={profile}", *flags, "about:blank"],
        pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        page = Page(ours_out, ours_in, process)
        page.attach()
        yield page
    finally:
        os.close(ours_out)  # it ends when nobody speaks to it
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(ours_in)

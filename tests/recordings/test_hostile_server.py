"""A server that means harm, or is broken as if it did: every answer has a bound, and no secret is ever told on."""

import base64
import gzip
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_server import Fault, Handler, Server, answer, drip, drip_header, endless, serve, status
from test_download import FIRST, FOLDER, RUN, bring, check_whole, planned, write_tree

from physiopipe.errors import PhysiopipeError
from physiopipe.params import Run
from physiopipe.recordings import http_tree, transport
from physiopipe.recordings.tree import open_tree

SECRET = "geheim"


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_tree, "FIRST_WAIT_S", 0.02)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serve(write_tree(tmp_path / "published")) as running:
        yield running


def read(server: Server, relative: str = "RECORDS", run: Run = RUN) -> bytes:
    return open_tree(server.url, run).read_bytes(relative)


def complaint(server: Server, relative: str = "RECORDS", run: Run = RUN) -> str:
    with pytest.raises(PhysiopipeError) as error:
        read(server, relative, run)
    assert f"{server.url}/{relative}" in str(error.value)
    return str(error.value)


# ------------------------------------------------------------------------------------------------------ secrets


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{SECRET}@127.0.0.1:9/tree",
        f"https://{SECRET}@127.0.0.1:9",
        f"http://user:{SECRET}/with/slashes@127.0.0.1:9/tree",
        f"http://user:{SECRET}%40127.0.0.1/tree",
        f"http://127.0.0.1:9/tree?key={SECRET}",
        f"http://127.0.0.1:9/tree?key=a@{SECRET}",
        f"http://127.0.0.1:9/tree#{SECRET}",
        f"http://127.0.0.1:{SECRET}/tree",
        f"http://[{SECRET}/tree",
    ],
)
def test_an_address_that_holds_a_secret_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(PhysiopipeError) as error:
        open_tree(url, RUN)
    assert SECRET not in str(error.value)
    if "@" in url:
        assert "environment" in str(error.value)
        assert "~/.netrc" in str(error.value)


def test_an_endpoint_that_holds_a_secret_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://key:{SECRET}@127.0.0.1:9")
    with pytest.raises(PhysiopipeError, match=r"~/\.netrc") as error:
        open_tree("s3://bucket/tree", RUN)
    assert SECRET not in str(error.value)


def only_with_password(handler: Handler, content: bytes) -> None:
    expected = "Basic " + base64.b64encode(f"reader:{SECRET}".encode()).decode()
    (status(401) if handler.headers.get("Authorization") != expected else Handler.serve)(handler, content)


def test_netrc_opens_a_tree_and_is_never_told_on(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = ("RECORDS", "SHA256SUMS.txt", f"{FOLDER}/RECORDS")
    server.always = dict.fromkeys(lists, only_with_password)
    with pytest.raises(PhysiopipeError, match=r"HTTP 401.*~/\.netrc"):
        planned(server.url)
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login reader password {SECRET}\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    batch = planned(server.url)
    for relative, _ in batch.files:
        server.always[relative] = only_with_password
    server.always[FIRST] = status(404)
    assert [each.record for each in bring(server.url, batch, tmp_path)] == ["E00001"]
    server.always[FIRST] = status(403)
    with pytest.raises(PhysiopipeError, match="HTTP 403") as error:
        bring(server.url, batch, tmp_path / "again")
    told = str(error.value) + "".join(capsys.readouterr()) + (tmp_path / "stamp.json").read_text()
    assert SECRET not in told


def test_a_proxy_with_a_password_is_never_told_on(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY")
    for proxy in (f"http://user:{SECRET}@127.0.0.1:9", f"http://user:{SECRET}@[127.0.0.1", f"gopher://{SECRET}@x"):
        monkeypatch.setenv("HTTP_PROXY", proxy)
        assert SECRET not in complaint(server)


@pytest.mark.parametrize(
    "location",
    [
        f"http://user:{SECRET}@127.0.0.1:9/RECORDS",
        f"http://127.0.0.1:9/RECORDS?signature={SECRET}",
        f"file:///etc/passwd?{SECRET}",
        f"/RECORDS?{SECRET}",
    ],
    ids=["password", "signed", "file", "for ever"],
)
def test_a_redirection_is_followed_with_care_and_not_repeated(server: Server, location: str) -> None:
    server.always["RECORDS"] = server.always[f"RECORDS?{SECRET}"] = answer(302, Location=location)
    (server.root / f"RECORDS?{SECRET}").write_bytes(b"")
    assert SECRET not in complaint(server)


def test_a_redirection_leads_to_the_file_and_its_own_body_is_not_read(server: Server) -> None:
    def elsewhere(handler: Handler, content: bytes) -> None:
        answer(302, Location=f"/{FOLDER}/RECORDS")(handler, content)
        handler.wfile.write(bytes(1 << 16))
        handler.server.stopped.wait(10)  # a body that is read would be waited for

    server.always["RECORDS"] = elsewhere
    assert read(server) == b"E00001\nE00002\nE00003\n"


# ------------------------------------------------------------------------------------------------------- bounds


def test_a_list_without_an_end_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.always["RECORDS"] = endless
    assert "longer than the 4,194,304 bytes" in complaint(server)
    assert server.sent["RECORDS"] < 32 << 20  # what its socket took besides
    monkeypatch.setattr(transport, "LARGEST_SUMS_BYTES", 100_000)
    server.always["SHA256SUMS.txt"] = endless
    assert "longer than the 100,000 bytes" in complaint(server, "SHA256SUMS.txt")


def test_a_file_without_an_end_leaves_nothing(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = planned(server.url)
    monkeypatch.setattr(transport, "LARGEST_FILE_BYTES", 500_000)
    server.always[FIRST] = endless
    with pytest.raises(PhysiopipeError, match=r"E00001\.mat is longer than the 500,000 bytes"):
        bring(server.url, batch, tmp_path)
    assert not (tmp_path / "raw" / f"{FIRST}.partial").exists()
    server.always[FIRST] = answer(200, bytes(100), Content_Length="500001")
    with pytest.raises(PhysiopipeError, match="longer than"):
        bring(server.url, batch, tmp_path)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "x-gzip"])
def test_an_encoded_answer_is_refused_before_it_is_unpacked(server: Server, encoding: str) -> None:
    server.always["RECORDS"] = answer(200, gzip.compress(bytes(1 << 24)), Content_Encoding=encoding)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert f"comes encoded as {encoding}" in complaint(server)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 12 << 10  # KiB


@pytest.mark.parametrize(
    "fault",
    [
        answer(200, b"x", Content_Length="9" * 5000),
        answer(200, b"x", Content_Length="-1"),
        answer(200, b"x", Content_Length="1, 2"),
        answer(206, b"x", Content_Range="bytes 0-0/100", Content_Length="1"),
        answer(206, b"x", Content_Range=f"bytes 0-{'9' * 5000}/*", Content_Length="1"),
        answer(503, b"x", Retry_After="1" * 5000 + "x"),
        answer(503, b"x", Retry_After="Fri, 99999999999999999999 Dec 2030 00:00:00 GMT"),
        answer(200, b"zz\r\n", Transfer_Encoding="chunked"),
        answer(200, b"x", X_Long="a" * 70_000),
    ],
    ids=["5000 digits", "negative", "two", "unasked part", "huge range", "retry", "date", "chunks", "long header"],
)
def test_absurd_headers_are_an_ordinary_error(server: Server, fault: Fault) -> None:
    server.always["RECORDS"] = fault
    assert len(complaint(server)) < 1000
    assert server.requests["RECORDS"] == RUN.retries + 1


def test_a_reason_in_the_status_line_is_told_short_and_on_one_line(server: Server) -> None:
    def chatty(handler: Handler, content: bytes) -> None:  # noqa: ARG001
        handler.wfile.write(b"HTTP/1.1 403 " + b"\x1b[2J" + b"a" * 60_000 + b"\r\nContent-Length: 0\r\n\r\n")

    server.always["RECORDS"] = chatty
    assert len(complaint(server)) < 600
    assert "\x1b" not in complaint(server)


@pytest.mark.parametrize("fault", [drip, drip_header], ids=["body", "header"])
def test_a_byte_at_a_time_does_not_go_on_for_ever(server: Server, fault: Fault) -> None:
    server.always["SHA256SUMS.txt"] = fault
    begin = time.monotonic()
    assert "comes too slowly" in complaint(server, "SHA256SUMS.txt", Run(timeout_s=0.3, retries=0))
    assert time.monotonic() - begin < 5


def test_a_slow_end_of_unknown_length_is_not_taken_for_the_end_of_the_file(server: Server) -> None:
    def unmeasured(handler: Handler, content: bytes) -> None:
        answer(200)(handler, b"")
        for _ in range(100):
            handler.wfile.write(content[:1])
            if handler.server.stopped.wait(0.05):
                return

    server.always["RECORDS"] = unmeasured
    assert "comes too slowly" in complaint(server, run=Run(timeout_s=0.3, retries=0))


def test_a_slow_transfer_that_keeps_its_pace_is_left_alone(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_tree, "LEAST_BYTES_PER_S", 5_000.0)

    def steady(handler: Handler, content: bytes) -> None:
        answer(200, Content_Length=str(len(content)))(handler, b"")
        for begin in range(0, len(content), 4096):
            time.sleep(0.25)  # 16 kB a second, for 2.5 s; 2 s are granted in any case
            handler.wfile.write(content[begin : begin + 4096])

    batch = planned(server.url)
    server.always[FIRST] = steady
    assert bring(server.url, batch, tmp_path, Run(connections=1, timeout_s=1.0, retries=0)) == []
    check_whole(batch, tmp_path)


def test_every_wait_is_told_with_its_reason(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_tree, "LONGEST_RETRY_AFTER_S", 0.1)
    server.faults["RECORDS"] = [status(429, Retry_After="86400"), status(500)]
    read(server)
    told = capsys.readouterr().out.splitlines()
    assert told == [
        f"download: waiting 0.1 s: the server asked for it (HTTP 429 Too Many Requests, {server.url}/RECORDS)",
        f"download: waiting 0.04 s: then it is tried again (HTTP 500 Internal Server Error, {server.url}/RECORDS)",
    ]

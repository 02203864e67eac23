"""Weights are loaded strictly or refused with the names that differ; what is saved is deterministic and standard."""

import hashlib
import os
import pickle
import re
import subprocess
import sys
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from physiopipe.errors import PhysiopipeError
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.weights import compare_weights, fetch_weights, load_encoder, read_metadata, save_encoder
from physiopipe.params import Encoder, Weights

SMALL = Encoder(layers=2, width=40, feedforward=80, heads=4, position_kernel=(3, 3))


def authors_tensors(layers: int = 12) -> dict[str, torch.Tensor]:
    """Random tensors under the names and shapes of the authors' model, as their code lists them for two layers."""
    listed = Path(__file__).with_name("cbramod_parameters.txt").read_text().splitlines()
    shapes = {name: tuple(map(int, shape.strip("[]").split(", "))) for name, shape in (x.split(" ", 1) for x in listed)}
    names = [name for name in shapes if "layers.1." not in name]
    found = {}
    for name in names:
        for layer in range(layers) if "layers.0." in name else [0]:
            found[name.replace("layers.0.", f"layers.{layer}.")] = torch.randn(shapes[name])
    return found


@pytest.fixture
def encoder() -> CrissCrossEncoder:
    torch.manual_seed(5)
    return CrissCrossEncoder(SMALL)


def test_default_sizes_are_the_authors(tmp_path: Path) -> None:
    """211 tensors and 4.92 M parameters, and a file of the authors' names and shapes loads strictly."""
    full = CrissCrossEncoder(Encoder())
    assert len(full.state_dict()) == 211
    assert sum(tensor.numel() for tensor in full.state_dict().values()) == 4_924_000
    torch.save(full.state_dict(), tmp_path / "pretrained_weights.pth")
    loaded = load_encoder(tmp_path / "pretrained_weights.pth", Encoder())
    assert all(torch.equal(a, b) for a, b in zip(loaded.state_dict().values(), full.state_dict().values(), strict=True))


@pytest.mark.parametrize("name", ["pretrained_weights.pth", "model.safetensors"])
def test_a_file_of_the_authors_names_loads_strictly(tmp_path: Path, name: str) -> None:
    """Their .pth and the Hub's safetensors: 12 layers, 211 tensors, none of the names taken from our own code."""
    tensors = authors_tensors()
    assert len(tensors) == 211
    if name.endswith(".pth"):
        torch.save(OrderedDict(tensors), tmp_path / name)
        assert abs((tmp_path / name).stat().st_size - 19_775_842) < 50_000  # the genuine file's size
    else:
        save_file(tensors, tmp_path / name, metadata={"format": "pt"})
    found = load_encoder(tmp_path / name, Encoder()).state_dict()
    assert set(found) == set(tensors)
    assert all(torch.equal(found[key], tensor) for key, tensor in tensors.items())


@pytest.mark.parametrize("name", ["pretrained_weights.pth", "model.safetensors"])
@pytest.mark.parametrize("change", ["one more", "one less", "another name", "another shape", "prefix", "half"])
def test_any_difference_from_the_authors_names_is_refused(tmp_path: Path, name: str, change: str) -> None:
    tensors = authors_tensors(2)
    last = "encoder.layers.1.linear2.bias"
    if change == "one more":
        tensors["final_layer.1.weight"] = torch.zeros(2, 2)
    elif change == "one less":
        del tensors[last]
    elif change == "another name":
        tensors["encoder.layers.1.linear3.bias"] = tensors.pop(last)
    elif change == "another shape":
        tensors[last] = torch.zeros(199)
    elif change == "prefix":
        tensors = {f"module.{key}": tensor for key, tensor in tensors.items()}
    else:
        tensors = dict(list(tensors.items())[:25])
    if name.endswith(".pth"):
        torch.save(tensors, tmp_path / name)
    else:
        save_file(tensors, tmp_path / name)
    with pytest.raises(PhysiopipeError, match="A partial match is refused") as raised:
        load_encoder(tmp_path / name, Encoder(layers=2))
    for words in ("matched", "missing", "unexpected"):
        assert words in str(raised.value)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_round_trip(tmp_path: Path, encoder: CrissCrossEncoder, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(encoder.state_dict(), path)
    else:
        save_file(encoder.state_dict(), path)  # written by the library, as the Hub's file is
    state = torch.random.get_rng_state()
    loaded = load_encoder(path, SMALL)
    assert torch.equal(state, torch.random.get_rng_state())
    x = torch.randn(2, 3, 4, 200)
    with torch.no_grad():
        assert torch.equal(loaded.eval()(x), encoder.eval()(x))


def test_saved_bytes_are_equal_and_read_by_the_library(tmp_path: Path, encoder: CrissCrossEncoder) -> None:
    metadata = {"leads": "I II III", "rate_hz": "200", "note": "é", "a": "1", "b": "2"}
    save_encoder(tmp_path / "one.safetensors", encoder, metadata)
    save_encoder(tmp_path / "two.safetensors", encoder, dict(reversed(metadata.items())))
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
    assert read_metadata(tmp_path / "one.safetensors") == {"format": "pt", **metadata}
    tensors = load_file(tmp_path / "one.safetensors")
    assert set(tensors) == set(encoder.state_dict())
    assert all(torch.equal(tensors[name], value) for name, value in encoder.state_dict().items())


def test_partial_match_is_refused_with_names(tmp_path: Path, encoder: CrissCrossEncoder) -> None:
    tensors = encoder.state_dict()
    tensors["encoder.layers.0.linear1.weight"] = torch.zeros(80, 41)
    tensors["classifier.weight"] = tensors.pop("proj_out.0.weight")
    tensors["encoder.layers.1.norm1.bias"] = torch.full((40,), torch.nan)
    report = compare_weights(tensors, encoder)
    assert report.missing == ("proj_out.0.weight",)
    assert report.unexpected == ("classifier.weight",)
    assert report.wrong_shape == ("encoder.layers.0.linear1.weight: found (80, 41), expected (80, 40)",)
    assert report.not_finite == ("encoder.layers.1.norm1.bias",)
    assert len(report.matched) == len(tensors) - 2
    torch.save(tensors, tmp_path / "other.pth")
    with pytest.raises(PhysiopipeError) as raised:
        load_encoder(tmp_path / "other.pth", SMALL)
    for name in ("proj_out.0.weight", "classifier.weight", "linear1.weight", "norm1.bias", "other.pth"):
        assert name in str(raised.value)


def test_depth_differs(tmp_path: Path, encoder: CrissCrossEncoder) -> None:
    torch.save(encoder.state_dict(), tmp_path / "two_layers.pth")
    with pytest.raises(PhysiopipeError, match=r"missing: encoder\.layers\.2\..* and 10 more"):
        load_encoder(tmp_path / "two_layers.pth", SMALL.model_copy(update={"layers": 3}))


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("executed",)


def test_code_in_a_pickle_never_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("evil.pth").write_bytes(pickle.dumps({"a": Evil()}))
    torch.save({"a": Evil()}, "evil_zip.pth")
    for name in ("evil.pth", "evil_zip.pth"):
        with pytest.raises(PhysiopipeError, match="cannot be read as weights"):
            load_encoder(Path(name), SMALL)
    assert not Path("executed").exists()


ODD = {
    "bool": lambda t: t > 0,
    "int64": lambda t: t.to(torch.int64),
    "uint8": lambda t: t.to(torch.uint8),
    "complex64": lambda t: t.to(torch.complex64),
    "float8_e4m3fn": lambda t: t.to(torch.float8_e4m3fn),
    "float8_e5m2": lambda t: t.to(torch.float8_e5m2),
    "sparse": lambda t: t.to_sparse(),
    "quantised": lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8),
    "without numbers": lambda t: t.to("meta"),
}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kind", ODD)
def test_anything_but_plain_floating_point_is_refused_by_name(
    tmp_path: Path, encoder: CrissCrossEncoder, suffix: str, kind: str
) -> None:
    name = "encoder.layers.1.linear1.weight"
    tensors = encoder.state_dict()
    tensors[name] = ODD[kind](tensors[name])
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(tensors, path)
    elif kind in ("sparse", "quantised", "without numbers"):
        return  # the format has none of these
    else:
        save_file(tensors, path)
    with pytest.raises(PhysiopipeError) as raised:
        load_encoder(path, SMALL)
    assert f"{name}: found" in str(raised.value)
    assert kind in str(raised.value)
    report = compare_weights(tensors, encoder)
    assert [entry.partition(":")[0] for entry in report.wrong_type] == [name]
    assert kind in report.wrong_type[0]
    assert report.not_finite == ()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_number_too_large_for_float32_does_not_become_infinity(
    tmp_path: Path, encoder: CrissCrossEncoder, suffix: str
) -> None:
    tensors = {name: tensor.double() for name, tensor in encoder.state_dict().items()}
    path = tmp_path / f"weights{suffix}"

    def save() -> None:
        torch.save(tensors, path) if suffix == ".pth" else save_file(tensors, path)

    save()
    loaded = load_encoder(path, SMALL).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in encoder.state_dict().items())
    tensors["encoder.layers.1.norm1.bias"][7] = 1e300
    save()
    with pytest.raises(PhysiopipeError, match=r"not finite: encoder\.layers\.1\.norm1\.bias"):
        load_encoder(path, SMALL)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read(tmp_path: Path, encoder: CrissCrossEncoder, dtype: torch.dtype) -> None:
    tensors = {name: tensor.to(dtype) for name, tensor in encoder.state_dict().items()}
    torch.save(tensors, tmp_path / "half.pth")
    loaded = load_encoder(tmp_path / "half.pth", SMALL).state_dict()
    assert all(torch.equal(loaded[name], tensor.float()) for name, tensor in tensors.items())


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b"\x00" * 64, "no weights of any kind"),
        (bytes(range(7, 200)), "no weights of any kind"),
        (b"<html>not found</html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
        (b"\x80\x02" + b"\xaa" * 200, "damaged|something else"),
        (b"PK\x03\x04" + b"\xaa" * 200, "damaged|something else"),
        ((40).to_bytes(8, "little") + b"{" + b"x" * 60, "damaged|something else"),
        (pickle.dumps({174812789: 5}), "damaged|something else|holds a dict"),
    ],
    ids=["empty", "zeros", "bytes", "page", "lfs", "hdf5", "pickle", "zip", "safetensors", "other pickle"],
)
def test_a_file_that_is_no_weights_is_told_in_words(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PhysiopipeError, match=name) as raised:
        load_encoder(tmp_path / name, SMALL)
    words = str(raised.value)
    assert re.search(said, words)
    assert len(words) < 700
    assert words.isprintable()
    assert "weights_only" not in words  # torch's advice to load it all the same


def test_weights_under_the_other_formats_name_are_told(tmp_path: Path, encoder: CrissCrossEncoder) -> None:
    torch.save(encoder.state_dict(), tmp_path / "a.safetensors")
    save_file(encoder.state_dict(), tmp_path / "b.pth")
    for name, kind in (("a.safetensors", r"a \.pth file"), ("b.pth", r"a \.safetensors file")):
        with pytest.raises(PhysiopipeError, match=f"it is {kind}, and its name says something else"):
            load_encoder(tmp_path / name, SMALL)


@pytest.mark.timeout(20)
def test_a_pipe_or_a_folder_in_the_files_place_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.pth")
    (tmp_path / "b.safetensors").mkdir()
    for name in ("a.pth", "b.safetensors"):
        with pytest.raises(PhysiopipeError, match="is a folder, a pipe or a device"):
            load_encoder(tmp_path / name, SMALL)


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path: Path, encoder: CrissCrossEncoder) -> None:
    tensors = {**encoder.state_dict(), "more": torch.zeros(64 << 18)}  # 64 MiB of zeros
    torch.save(tensors, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, zipfile.ZipFile(tmp_path / "bomb.pth", "w", 8) as bomb:
        for entry in plain.infolist():
            bomb.writestr(entry.filename, plain.read(entry))
    assert (tmp_path / "bomb.pth").stat().st_size < 4 << 20
    with pytest.raises(PhysiopipeError, match="a compressed zip archive"):
        load_encoder(tmp_path / "bomb.pth", SMALL)


def test_a_tensor_that_says_it_is_huge_takes_no_memory(tmp_path: Path, encoder: CrissCrossEncoder) -> None:
    """One number repeated 2^40 times, as a .pth may say: its shape is refused before anything is made of it."""
    tensors = encoder.state_dict()
    tensors["encoder.layers.1.norm1.bias"] = torch.zeros(1).expand(1 << 20, 1 << 20)
    torch.save(tensors, tmp_path / "huge.pth")
    with pytest.raises(PhysiopipeError, match=r"found \(1048576, 1048576\), expected \(40,\)"):
        load_encoder(tmp_path / "huge.pth", SMALL)


def test_missing_and_wrapped(tmp_path: Path, encoder: CrissCrossEncoder) -> None:
    with pytest.raises(PhysiopipeError, match="is missing"):
        load_encoder(tmp_path / "none.pth", SMALL)
    torch.save({"epoch": 3, "model": encoder.state_dict()}, tmp_path / "wrapped.pth")
    with pytest.raises(PhysiopipeError, match=r"a dict of dict, int|a dict of OrderedDict, int"):
        load_encoder(tmp_path / "wrapped.pth", SMALL)
    with pytest.raises(PhysiopipeError, match="origin"):
        fetch_weights(Weights(origin="file", path=str(tmp_path / "none.pth")))
    assert fetch_weights(Weights(origin="none")) is None


def test_sizes_that_do_not_fit_together() -> None:
    with pytest.raises(PhysiopipeError, match="multiple of 40"):
        CrissCrossEncoder(Encoder(width=100))
    with pytest.raises(PhysiopipeError, match="odd"):
        CrissCrossEncoder(Encoder(position_kernel=(4, 3)))


CONTENT = b"weights" * 1000
COMMIT = "1234567890" * 4


class Hub(BaseHTTPRequestHandler):
    """Answers as the Hub does for one file of one repository."""

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        if self.path != f"/some/model/resolve/{COMMIT}/weights.pth":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(CONTENT).hexdigest()}"')
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        if body:
            self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fetch_in_a_process(endpoint: str, home: Path, *changes: dict[str, str]) -> list[str]:
    """What each fetch prints; a process of its own because the client reads its settings once, at import."""
    usual = {"repository": "some/model", "filename": "weights.pth", "revision": COMMIT}
    weights = [Weights(origin="hub", **{**usual, **changed}).model_dump_json() for changed in changes]
    code = (
        "import sys\n"
        "from physiopipe.errors import PhysiopipeError\n"
        "from physiopipe.models.weights import fetch_weights\n"
        "from physiopipe.params import Weights\n"
        "for text in sys.argv[1:]:\n"
        "    try: print('PATH', fetch_weights(Weights.model_validate_json(text)))\n"
        "    except PhysiopipeError as error: print('ERROR', str(error).replace('\\n', ' '))\n"
    )
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"}
    environment.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run([sys.executable, "-c", code, *weights], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow  # a process of its own, with torch and the Hub's client
def test_a_file_from_the_hub_is_checked_and_a_missing_one_told(hub: str, tmp_path: Path) -> None:
    right = hashlib.sha256(CONTENT).hexdigest()
    wanted = ({"sha256": right}, {"sha256": "0" * 64}, {"filename": "other.pth"})
    good, wrong, missing = fetch_in_a_process(hub, tmp_path, *wanted)
    assert good.startswith("PATH")
    assert Path(good.split(maxsplit=1)[1]).read_bytes() == CONTENT
    assert wrong.startswith("ERROR")
    assert right in wrong
    assert "0" * 64 in wrong
    assert missing.startswith("ERROR other.pth of some/model")
    assert "404" in missing or "NotFound" in missing


@pytest.mark.exhaustive  # the client waits and tries again before it gives up
def test_hub_out_of_reach(tmp_path: Path) -> None:
    (printed,) = fetch_in_a_process("http://127.0.0.1:1", tmp_path, {})
    assert printed.startswith("ERROR weights.pth of some/model")
    assert "`none`" in printed
    assert "`file`" in printed


def test_a_flipped_bit_anywhere_in_an_encoder_s_file_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    save_encoder(path, CrissCrossEncoder(SMALL), {"cohort": "Challenge", "steps": "12"})
    expected, told, content = load_encoder(path, SMALL).state_dict(), read_metadata(path), path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    random = torch.Generator().manual_seed(0)
    places = [*torch.randint(0, header, (60,), generator=random).tolist(),
              *torch.randint(header, len(content), (60,), generator=random).tolist()]  # fmt: skip
    noticed = 0
    for number, place in enumerate(places):
        changed = bytearray(content)
        changed[place] ^= 1 << number % 8
        path.write_bytes(changed)
        try:
            found = load_encoder(path, SMALL).state_dict()
        except PhysiopipeError:
            noticed += 1
            continue
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items()), place
        assert {name: read_metadata(path).get(name) for name in ("cohort", "steps")} == {
            name: told[name] for name in ("cohort", "steps")
        }
    assert noticed > 110

"""Encoder weights on disk: strict loading, deterministic safetensors, the authors' file from the Hugging Face Hub."""

import hashlib
import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_file, sha256_file, shorten
from physiopipe.models.encoder import CrissCrossEncoder

if TYPE_CHECKING:
    from physiopipe.params import Encoder, Weights

_FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)  # what may become float32
_SEAL, _ZEROS = "content_sha256", "0" * 64
_LONGEST_METADATA = 1 << 20  # bytes in which the digest is looked for
_SHOWN = 6  # names listed in a message before it says how many more there are


class WeightsReport(NamedTuple):
    """How the tensors of a file and the parameters of an encoder fit, by name."""

    matched: tuple[str, ...]
    missing: tuple[str, ...]  # in the encoder, not in the file
    unexpected: tuple[str, ...]  # in the file, not in the encoder
    wrong_shape: tuple[str, ...]  # "name: found (…), expected (…)"
    wrong_type: tuple[str, ...]  # "name: found torch.int64": neither float32, 64, 16 nor bf16, or not plain
    not_finite: tuple[str, ...]  # NaN or infinite values, as they are or as float32

    @property
    def complete(self) -> bool:
        """Whether file and encoder fit exactly."""
        return not any(self[1:])

    def __str__(self) -> str:
        lines = [f"  matched: {len(self.matched)} tensors"]
        for title, names in zip(self._fields[1:], self[1:], strict=True):
            more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            lines.append(f"  {title.replace('_', ' ')}: {', '.join(names[:_SHOWN]) or 'none'}{more}")
        return "\n".join(lines)


def compare_weights(tensors: Mapping[str, Tensor], encoder: CrissCrossEncoder) -> WeightsReport:
    """Report how `tensors` fit the parameters of `encoder`."""
    expected = encoder.state_dict()
    shared = [name for name in expected if name in tensors]
    shapes = {name: (tuple(tensors[name].shape), tuple(expected[name].shape)) for name in shared}
    types = {name: _odd_type(tensors[name]) for name in shared}
    fitting = [name for name in shared if shapes[name][0] == shapes[name][1] and not types[name]]
    return WeightsReport(
        matched=tuple(fitting),
        missing=tuple(name for name in expected if name not in tensors),
        unexpected=tuple(sorted(set(tensors) - set(expected))),
        wrong_shape=tuple(f"{n}: found {s[0]}, expected {s[1]}" for n, s in shapes.items() if s[0] != s[1]),
        wrong_type=tuple(f"{name}: found {odd}" for name, odd in types.items() if odd),
        not_finite=tuple(name for name in fitting if not bool(tensors[name].float().isfinite().all())),
    )


def _odd_type(tensor: Tensor) -> str:
    """What a tensor is where it is no plain array of floating-point numbers, else nothing."""
    if tensor.is_quantized:
        return f"a quantised tensor, {tensor.dtype}"
    if tensor.layout != torch.strided or tensor.is_nested:
        return f"a sparse or nested tensor, {tensor.layout}"
    if tensor.is_meta:
        return "a tensor without numbers"
    return "" if tensor.dtype in _FLOATS else str(tensor.dtype)


def load_encoder(path: Path, sizes: "Encoder") -> CrissCrossEncoder:
    """An encoder of these sizes with the weights of a .pth (a state dict of tensors) or .safetensors file.

    Raises PhysiopipeError, with the names that differ, unless file and encoder fit exactly.
    """
    tensors = read_tensors(path)
    with torch.random.fork_rng(devices=[]):  # the initial draw is overwritten: leave the caller's stream alone
        encoder = CrissCrossEncoder(sizes)
    report = compare_weights(tensors, encoder)
    if not report.complete:
        raise PhysiopipeError(
            f"{path} does not fit an encoder of {sizes.layers} layers, width {sizes.width}, feed-forward "
            f"{sizes.feedforward}, positional kernel {sizes.position_kernel}:\n{report}\n"
            "A partial match is refused. Set the encoder's sizes to those of the file, or name another file."
        )
    encoder.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, strict=True)
    return encoder


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name of a .pth or .safetensors file, on the CPU; nothing in the file is executed."""
    kind = _kind_of(path)
    if kind not in (SAFETENSORS, ZIPPED, PICKLED):
        raise _not_weights(path, f"it is {kind}")
    if (kind == SAFETENSORS) != (path.suffix == ".safetensors"):
        raise _not_weights(path, f"it is {kind}, and its name says something else")
    try:
        if kind == SAFETENSORS:
            _check_seal(path)
            return dict(load_file(path))
        if kind == ZIPPED:
            _check_stored(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except PhysiopipeError:
        raise
    except Exception as error:  # what a damaged or foreign file raises depends on where it differs
        raise _not_weights(path, _why_not(kind, error)) from None
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()) or not content:
        raise PhysiopipeError(
            f"{path} holds {_describe(content)}, expected a state dict: tensors by parameter name. "
            "Save `model.state_dict()` itself."
        )
    if not all(isinstance(name, str) for name in content):
        raise PhysiopipeError(f"{path} holds tensors whose names are no text, expected a state dict.")
    return dict(content)


SAFETENSORS = "a .safetensors file"
ZIPPED = "a .pth file"
PICKLED = "a .pth file of an old PyTorch, or a pickle"


def _kind_of(path: Path) -> str:
    """What a file is, by its first bytes."""
    try:
        if not path.is_file():
            there = "is a folder, a pipe or a device" if path.exists() else "is missing"
            raise PhysiopipeError(f"{path} {there}: expected encoder weights (.pth or .safetensors) there.")
        with path.open("rb") as handle:
            head = handle.read(256)
    except OSError as error:
        raise PhysiopipeError(f"{path} cannot be read ({error.strerror}): look at its permissions.") from None
    text = head.lstrip().lower()
    if not head:
        return "an empty file"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page (perhaps a log-in page saved in the file's place)"
    if text.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer: the file itself was not fetched (`git lfs pull`)"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size - 8:
        return SAFETENSORS
    if head.startswith(b"PK\x03\x04"):
        return ZIPPED
    if head.startswith(b"\x80"):
        return PICKLED
    known = {b"\x89HDF": "an HDF5 file (Keras?)", b"\x1f\x8b": "a gzip file: unpack it", b"GGUF": "a GGUF file"}
    for mark, name in known.items():
        if head.startswith(mark):
            return name
    return f"no weights of any kind that is read here (its first bytes are {head[:8]!r})"


def _check_stored(path: Path) -> None:
    """torch packs tensors into a zip archive without compression: a compressed one could unpack to any size."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise _not_weights(path, "it is a compressed zip archive, and PyTorch writes uncompressed ones")
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise _not_weights(path, "its parts say that they are larger than the file")


def _why_not(kind: str, error: Exception) -> str:
    """Why torch or safetensors refused a file, in a few words."""
    text = str(error)
    named = re.search(r"GLOBAL ([\w.]+)", text)
    if "weights_only" in text and named:
        return f"it holds more than tensors ({shorten(named[1], 80)}), and code in a file is never run"
    said = shorten((text.strip().splitlines() or [""])[0], 160)
    # a key or a number that was met tells a person nothing, and torch's advice is to load the file without care
    left_out = len(said.split()) < 3 or "weights_only" in text
    return f"it begins as {kind}, and is damaged or something else" + ("" if left_out else f" ({said})")


def _not_weights(path: Path, why: str) -> PhysiopipeError:
    return PhysiopipeError(
        f"{path} cannot be read as weights: {why}. Expected a .safetensors file, or a .pth that holds tensors by name "
        "and nothing else; fetch it again or name another."
    )


def read_metadata(path: Path) -> dict[str, str]:
    """The text metadata of a .safetensors file, as it was given to `save_tensors`."""
    try:
        with safe_open(path, framework="pt") as handle:
            return {name: text for name, text in (handle.metadata() or {}).items() if name != _SEAL}
    except (FileNotFoundError, SafetensorError) as error:
        raise PhysiopipeError(f"{path} is not a readable .safetensors file: {error}") from None


def save_encoder(path: Path, encoder: CrissCrossEncoder, metadata: Mapping[str, str]) -> None:
    """Write the weights as .safetensors, atomically; equal weights and metadata are equal bytes."""
    save_tensors(path, encoder.state_dict(), metadata)


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write float32 tensors and text metadata in the safetensors format, in the order of their names.

    Written here because the library keeps metadata in a hash map, whose order, and so the file's bytes, vary. The
    metadata's `content_sha256` is that of all that follows the header's length, with 64 zeros in its own place.
    """
    told = {"format": "pt", **dict(sorted(metadata.items())), _SEAL: _ZEROS}
    header: dict[str, object] = {"__metadata__": told}
    blocks: list[bytes] = []
    start = 0
    for name in sorted(tensors):
        block = tensors[name].detach().cpu().float().contiguous().numpy().astype("<f4").tobytes()
        shape = list(tensors[name].shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, start + len(block)]}
        blocks.append(block)
        start += len(block)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the format wants the tensors aligned
    digest = hashlib.sha256(text)
    for block in blocks:
        digest.update(block)
    text = text.replace(f'"{_SEAL}":"{_ZEROS}"'.encode(), f'"{_SEAL}":"{digest.hexdigest()}"'.encode(), 1)
    with atomic_file(path) as temporary, temporary.open("wb") as handle:
        handle.write(len(text).to_bytes(8, "little") + text)
        handle.writelines(blocks)


def _check_seal(path: Path) -> None:
    """Refuse a file that `save_tensors` wrote and that has changed since; other files carry no such digest."""
    content = path.read_bytes()[8:]
    found = re.search(rf'"{_SEAL}":"([0-9a-f]{{64}})"'.encode(), content[:_LONGEST_METADATA])
    if found is None:
        return
    whole = content[: found.start(1)] + _ZEROS.encode() + content[found.end(1) :]
    if hashlib.sha256(whole).hexdigest().encode() != found[1]:
        raise PhysiopipeError(
            f"{path} is damaged: its content is not what was written (sha256). Delete it, in DVC's cache too (`dvc "
            "checkout` would bring it back), and run `dvc repro` again, or copy it anew."
        )


def fetch_weights(weights: "Weights") -> Path | None:
    """The file that `weights` names, checked; None for origin none. A Hub file is downloaded once, into its cache.

    Raises PhysiopipeError where the file is missing, cannot be fetched, or has another sha256 than expected.
    """
    if weights.origin == "none":
        return None
    if weights.origin == "file":
        if not Path(weights.path).is_file():
            raise PhysiopipeError(
                f"{weights.path} is missing: expected the EEG encoder's weights there (origin: file). Put the file "
                "there, or set origin to `hub` (downloads it) or `none` (an untrained encoder; the table says so)."
            )
        if told := weights.of_another_file(Path(weights.path), sha256_file(Path(weights.path))):
            raise PhysiopipeError(told)
        return Path(weights.path)
    return _fetch_from_hub(weights)


def _fetch_from_hub(weights: "Weights") -> Path:
    from huggingface_hub import hf_hub_download  # a second of imports that only this path needs

    name = f"{weights.filename} of {weights.repository} at revision {weights.revision}"
    advice = (
        "With no connection: download it elsewhere and set eeg_weights.origin to `file` and eeg_weights.path to it, "
        "or set eeg_weights.origin to `none` (an untrained encoder; the table says so)."
    )
    try:
        path = Path(hf_hub_download(weights.repository, weights.filename, revision=weights.revision))
    except Exception as error:  # the client lets many kinds through: its own, its HTTP library's, the system's
        reason = (str(error).strip().splitlines() or [""])[0]
        raise PhysiopipeError(
            f"{name} could not be fetched from the Hugging Face Hub ({type(error).__name__}: {reason}).\n{advice}"
        ) from None
    found = sha256_file(path)
    if found != weights.sha256:
        raise PhysiopipeError(
            f"{name} is not the expected file: sha256 {found}, expected {weights.sha256}.\nIt lies at {path}: "
            "delete it to fetch it again, or, if you trust this revision, set eeg_weights.sha256 to what was found."
        )
    return path


def _describe(content: object) -> str:
    if isinstance(content, dict):
        kinds = sorted({type(value).__name__ for value in content.values()})
        return f"a dict of {', '.join(kinds) or 'nothing'}"
    return f"a {type(content).__name__}"

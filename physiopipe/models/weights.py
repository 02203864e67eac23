"""Encoder weights on disk: strict loading, deterministic safetensors, the authors' file from the Hugging Face Hub."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_file, sha256_file
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.params import Encoder, Weights

_SHOWN = 6  # names listed in a message before it says how many more there are


class WeightsReport(NamedTuple):
    """How the tensors of a file and the parameters of an encoder fit, by name."""

    matched: tuple[str, ...]
    missing: tuple[str, ...]  # in the encoder, not in the file
    unexpected: tuple[str, ...]  # in the file, not in the encoder
    wrong_shape: tuple[str, ...]  # "name: found (…), expected (…)"
    not_finite: tuple[str, ...]  # NaN or infinite values

    @property
    def complete(self) -> bool:
        """Whether file and encoder fit exactly."""
        return not (self.missing or self.unexpected or self.wrong_shape or self.not_finite)

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
    fitting = [name for name in shared if shapes[name][0] == shapes[name][1]]
    return WeightsReport(
        matched=tuple(fitting),
        missing=tuple(name for name in expected if name not in tensors),
        unexpected=tuple(sorted(set(tensors) - set(expected))),
        wrong_shape=tuple(f"{n}: found {s[0]}, expected {s[1]}" for n, s in shapes.items() if s[0] != s[1]),
        not_finite=tuple(name for name in fitting if not bool(tensors[name].isfinite().all())),
    )


def load_encoder(path: Path, sizes: Encoder) -> CrissCrossEncoder:
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
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise PhysiopipeError(f"{path} is missing: expected encoder weights (.pth or .safetensors) there.") from None
    except Exception as error:  # what a damaged or foreign file raises depends on where it differs
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise PhysiopipeError(
            f"{path} cannot be read as weights: {first}. Expected a .safetensors file, or a .pth that holds tensors by "
            "name and nothing else; fetch it again or name another."
        ) from None
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()) or not content:
        raise PhysiopipeError(
            f"{path} holds {_describe(content)}, expected a state dict: tensors by parameter name. "
            "Save `model.state_dict()` itself."
        )
    return {str(name): tensor for name, tensor in content.items()}


def read_metadata(path: Path) -> dict[str, str]:
    """The text metadata of a .safetensors file."""
    try:
        with safe_open(path, framework="pt") as handle:
            return dict(handle.metadata() or {})
    except (FileNotFoundError, SafetensorError) as error:
        raise PhysiopipeError(f"{path} is not a readable .safetensors file: {error}") from None


def save_encoder(path: Path, encoder: CrissCrossEncoder, metadata: Mapping[str, str]) -> None:
    """Write the weights as .safetensors, atomically; equal weights and metadata are equal bytes."""
    save_tensors(path, encoder.state_dict(), metadata)


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write float32 tensors and text metadata in the safetensors format, in the order of their names.

    Written here because the library keeps metadata in a hash map, whose order, and so the file's bytes, vary.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt", **dict(sorted(metadata.items()))}}
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
    with atomic_file(path) as temporary, temporary.open("wb") as handle:
        handle.write(len(text).to_bytes(8, "little") + text)
        handle.writelines(blocks)


def fetch_weights(weights: Weights) -> Path | None:
    """The file that `weights` names, checked; None for origin none. A Hub file is downloaded once, into its cache.

    Raises PhysiopipeError where the file is missing, cannot be fetched, or (Hub) has another sha256 than expected.
    """
    if weights.origin == "none":
        return None
    if weights.origin == "file":
        if not Path(weights.path).is_file():
            raise PhysiopipeError(
                f"{weights.path} is missing: expected the EEG encoder's weights there (origin: file). Put the file "
                "there, or set origin to `hub` (downloads it) or `none` (an untrained encoder; the table says so)."
            )
        return Path(weights.path)
    return _fetch_from_hub(weights)


def _fetch_from_hub(weights: Weights) -> Path:
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

"""A fitted method in a folder: what it has learnt as safetensors, all that is said of it as JSON, and a model card.

Nothing in a folder is ever executed. Files are compared with the checksums in `model.json`, and the methods must
compute what they computed when they were fitted: for a made-up clip, the probabilities are kept beside them.
"""

import json
import shutil
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from physiopipe.clips.clip_data import F64, HIDDEN_LABEL, MODALITIES, ClipData, Modality
from physiopipe.cohorts.registry import cohort
from physiopipe.errors import PhysiopipeError
from physiopipe.files import is_sealed, read_json, sealed, sha256_file, write_json
from physiopipe.methods.base import Arrays, Method, Setup
from physiopipe.methods.registry import method_class, missing_extras
from physiopipe.params import Params, check_params

FORMAT = 2
WEIGHTS, ABOUT, CARD = "model.safetensors", "model.json", "README.md"
ENCODERS: dict[Modality, str] = {"ecg": "ecg_encoder.safetensors", "eeg": "eeg_encoder.safetensors"}
NO_CHANNELS: dict[str, Any] = {
    "channels": (),
    "recorded": (),
    "unit": "unspecified",
    "amplitude_low": 0.0,
    "amplitude_high": 0.0,
}  # a cohort without EEG
PROBE_TOLERANCE = 1e-3  # of a probability: other processors sum in another order


@dataclass(frozen=True)
class FittedModel:
    """A method fitted several times, whose probability is the mean of the fits'.

    Attributes:
        folder: where it was read from.
        about: all that `model.json` says.
        params: those that prepare recordings and that the method was fitted by.
        members: the fits.
    """

    folder: Path
    about: dict[str, Any]
    params: Params
    members: tuple[Method, ...]

    def predict(self, clips: ClipData) -> F64:
        """Probability of `high`, (n clips, n tasks)."""
        return mean_prediction(self.members, clips)

    @property
    def cohort(self) -> str:
        return str(self.about["cohort"])

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self.about["tasks"])

    @property
    def inputs(self) -> tuple[Modality, ...]:
        """The modalities that it reads."""
        return tuple(self.about["inputs"])

    @property
    def simulated(self) -> bool:
        return bool(self.about["simulated"])

    @property
    def trained_on(self) -> str:
        """The cohort, in words."""
        return f"SIMULATED {self.about['cohort_title']}" if self.simulated else str(self.about["cohort_title"])


def mean_prediction(members: Sequence[Method], clips: ClipData) -> F64:
    """Mean over fits of the probability of `high`, (n clips, n tasks)."""
    found: F64 = np.mean([member.predict(clips.without_labels()) for member in members], axis=0)
    return found


def write_model(
    folder: Path, members: Sequence[Method], about: dict[str, Any], encoders: dict[Modality, Path], card: str
) -> None:
    """Write a model into an empty folder (a temporary one: whoever calls renames it)."""
    arrays: Arrays = {}
    states = []
    for number, member in enumerate(members):
        learnt, values = member.state()
        arrays |= {f"{number}/{name}": np.ascontiguousarray(value) for name, value in learnt.items()}
        states.append(values)
    (folder / WEIGHTS).write_bytes(safetensors.numpy.save(arrays))
    for modality, path in encoders.items():
        shutil.copyfile(path, folder / ENCODERS[modality])
    files = {name: sha256_file(folder / name) for name in (WEIGHTS, *(ENCODERS[each] for each in encoders))}
    write_json(folder / ABOUT, sealed({"format": FORMAT, **about, "members": states, "files": files}))
    (folder / CARD).write_text(card, encoding="utf-8")


def load_model(folder: Path, state_folder: Path) -> FittedModel:
    """A model that `physiopipe fit` wrote.

    Args:
        state_folder: where its methods keep what they compute of windows, meanwhile.

    Raises:
        PhysiopipeError: no such folder, one that was changed, made for another version, or whose methods compute
            something else here than where they were fitted.
    """
    if not (folder / ABOUT).is_file():
        raise PhysiopipeError(f"{folder} is no fitted model ({ABOUT} is missing): `physiopipe fit` writes one.")
    try:
        about: Any = read_json(folder / ABOUT)
    except (ValueError, RecursionError):  # of UTF-8 or of JSON
        raise PhysiopipeError(f"{folder / ABOUT} is damaged: take the folder anew, or fit again.") from None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise PhysiopipeError(f"{folder / ABOUT} is of another format: expected {FORMAT}. Fit it again.")
    files = about.get("files")
    if not is_sealed(about) or not isinstance(files, dict) or not set(files) <= {WEIGHTS, *ENCODERS.values()}:
        raise PhysiopipeError(f"{folder / ABOUT} was changed after it was written: take the folder anew, or fit again.")
    for name, digest in files.items():
        if not (folder / name).is_file() or sha256_file(folder / name) != digest:
            raise PhysiopipeError(f"{folder / name} is missing or damaged: take the folder anew, or fit again.")
    if (missing := missing_extras(about["method"])) is not None:
        raise PhysiopipeError(missing)
    params = _params(folder, about)
    ecg = folder / ENCODERS["ecg"]
    known = tuple(cohort(about["cohort"]).modalities)
    setup = Setup(params, ecg if ecg.name in files else None, state_folder, known)
    method = method_class(about["method"])(setup)
    learnt = _arrays(folder / WEIGHTS, len(about["members"]))
    members: list[Method] = []
    for values, state in zip(about["members"], learnt, strict=True):
        # each its own object: what one fit has set must not show in another
        members.append((method if not members else method_class(about["method"])(setup)).restore(state, values))
    found = FittedModel(folder, about, params, tuple(members))
    _check_probe(found)
    return found


def _params(folder: Path, about: dict[str, Any]) -> Params:
    content = deepcopy(about["params"])
    if ENCODERS["eeg"] in about["files"]:
        path = folder / ENCODERS["eeg"]
        content["encoders"]["eeg_weights"] = {"origin": "file", "path": str(path), "sha256": sha256_file(path)}
    return check_params(content, str(folder / ABOUT))


def _arrays(path: Path, members: int) -> list[Arrays]:
    try:
        whole = safetensors.numpy.load_file(path)
    except SafetensorError as error:
        raise PhysiopipeError(f"{path} is no readable .safetensors file ({error}): fit again.") from None
    found: list[Arrays] = [{} for _ in range(members)]
    for name, value in whole.items():
        number, _, rest = name.partition("/")
        found[int(number)][rest] = value.copy()
    return found


def _check_probe(model: FittedModel) -> None:
    expected = np.array(model.about["probe"])
    found = model.predict(probe_clips(model.about))
    if found.shape[1:] != expected.shape or not np.abs(found[0] - expected).max() <= PROBE_TOLERANCE:
        versions = json.dumps(model.about["libraries"])
        raise PhysiopipeError(
            f"{model.folder}: here it computes {np.round(found[0], 4).tolist()} for a made-up clip, and where it was "
            f"fitted it computed {np.round(expected, 4).tolist()}. Install the libraries that it was fitted with "
            f"({versions}), or fit it again here."
        )


def probe_clips(about: dict[str, Any]) -> ClipData:
    """A made-up clip of two windows with a model's channels and amplitudes: the same on every machine."""
    random = np.random.default_rng(20210)
    patches, windows = int(about["patches"]), 2
    arrays = {}
    for modality in MODALITIES:
        known = about["training"].get(modality, NO_CHANNELS)
        shape = (windows, len(known["channels"]), patches, 200)
        size = (known["amplitude_low"] + known["amplitude_high"]) / 2
        noise = random.standard_normal(shape)
        if modality == "ecg":  # beats at 75 a minute
            seconds = np.arange(patches * 200).reshape(patches, 200) / 200
            noise = 0.1 * noise + 5 * np.exp(-0.5 * ((seconds % 0.8 - 0.4) / 0.015) ** 2)
        arrays[modality] = (size * noise).astype(np.float32)
    return ClipData(
        subjects=np.array(["made up"]),
        clips=np.array([1], np.int64),
        labels=np.full((1, len(about["tasks"])), HIDDEN_LABEL, np.int8),
        eeg=arrays["eeg"],
        ecg=arrays["ecg"],
        eeg_present=np.ones(arrays["eeg"].shape[:2], bool),
        ecg_present=np.ones(arrays["ecg"].shape[:2], bool),
        valid_patches=np.full(windows, patches, np.int64),
        clip_of=np.zeros(windows, np.int64),
        tasks=tuple(about["tasks"]),
        eeg_channels=tuple(about["training"].get("eeg", NO_CHANNELS)["channels"]),
        ecg_channels=tuple(about["training"].get("ecg", NO_CHANNELS)["channels"]),
        ecg_unit=str(about["training"].get("ecg", NO_CHANNELS)["unit"]),
    )

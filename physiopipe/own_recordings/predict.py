"""A folder of recordings to a fitted model's probabilities, a row a clip and task."""

import csv
import math
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from physiopipe.clips.clip_data import HIDDEN_LABEL, MODALITIES, ClipData, Modality
from physiopipe.clips.pairing import START_TOLERANCE_S, starting_together
from physiopipe.clips.reading import RATE_HZ
from physiopipe.clips.rules import by_rule
from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_file, write_json
from physiopipe.own_recordings.card import SIMULATED, headline_of
from physiopipe.own_recordings.channels import modality_recording
from physiopipe.own_recordings.encoder import with_mains
from physiopipe.own_recordings.fitted import NO_CHANNELS, FittedModel, load_model
from physiopipe.own_recordings.likeness import unlike
from physiopipe.own_recordings.reading import Recordings, beside
from physiopipe.own_recordings.two_files import end_together, shared_stretch
from physiopipe.params import PATCH_SAMPLES
from physiopipe.recordings.edf import check_same_start
from physiopipe.recordings.opening import Found, open_recording
from physiopipe.recordings.recording import LongRecording, Recording, RejectedRecord
from physiopipe.windows.in_memory import PreparedWindows, joined, window_blocks

ClipsAre = Literal["recording", "consecutive"]
COLUMNS = (
    "record", "file", "clip", "start_s", "end_s", "windows", "task", "probability", "threshold", "high", "flags",
    "warnings", "trained_on",
)  # fmt: skip
_OF_MODEL = (
    "method", "title", "cohort", "cohort_title", "simulated", "people", "clips", "thresholds", "cross_validated",
    "caveats", "physiopipe",
)  # fmt: skip


@dataclass(frozen=True)
class _Signals:
    """What was read of a recording in each modality that is there, cut into windows."""

    windows: dict[Modality, PreparedWindows]
    recorded_hz: dict[Modality, float]
    told: str  # of two files of different lengths


def _check_named(model: FittedModel, named: Mapping[str, str]) -> None:
    training = model.about["training"]
    known = [each for modality in MODALITIES for each in training.get(modality, NO_CHANNELS)["recorded"]]
    if unknown := [name for name in named if name not in known]:
        raise PhysiopipeError(
            f"--channel {unknown[0]}={named[unknown[0]]}: the model has no channel {unknown[0]!r}; it has "
            f"{', '.join(known)}. Name one of these, as it is written here."
        )


def predict_recordings(
    place: Path,
    model_folder: Path,
    out: Path,
    *,
    clips: ClipsAre = "recording",
    mains_hz: float | None = None,
    named: Mapping[str, str] | None = None,
) -> Recordings:
    """Write `out`, `<out>.json` (of the model, and the counts) and `<out>.refused.csv`, each whole or not at all.

    Args:
        clips: recording: a recording is one clip, of which the model's last seconds count; consecutive: every stretch
            of a clip's length is one.

    Raises:
        PhysiopipeError: no such model, no recording, or none that can be predicted (the csv of reasons is written).
    """
    refused = beside(out, "refused.csv")
    with tempfile.TemporaryDirectory() as scratch:
        state = Path(scratch)
        model = load_model(model_folder, state)
        for line in told(model):
            print(line, flush=True)
        _check_named(model, named or {})
        recordings, warned, count = Recordings(place, "predict", paired=True), 0, 0
        with atomic_file(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.DictWriter(handle, COLUMNS, lineterminator="\n")
            writer.writeheader()
            for found, done in recordings.each():
                with recordings.noting(found):
                    signals = _read(found, recordings.ecg_of.get(found.path), model, clips, mains_hz, named)
                    done(0.5)
                    rows = list(_rows(found, signals, model, clips))
                    writer.writerows(rows)
                    count += len(rows)
                    warned += sum(bool(row["warnings"]) for row in rows)
                for left in state.iterdir():  # what methods keep of windows serves nobody else
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
            if not recordings.used:
                recordings.refused.write(refused)
                raise recordings.refuse_all(refused, "predicted")
    if warned:
        print(f"{warned} of {count} rows are unlike the training data: see the column `warnings`", flush=True)
    recordings.refused.write(refused)
    write_json(beside(out, "json"), _summary(model, recordings, count, warned))
    return recordings


def told(model: FittedModel) -> list[str]:
    """What a reader of predictions must know of the model."""
    about = model.about
    numbers = "; ".join(f"{task} {headline_of(about, task)}" for task in model.tasks)
    lines = [f"{about['title']}, fitted on {model.trained_on}: {about['people']} people, {about['clips']} clips"]
    lines.append(f"cross-validated on people it had not met: {numbers}")
    return [SIMULATED, *lines] if model.simulated else lines


def _read(
    found: Found,
    ecg_path: Path | None,
    model: FittedModel,
    clips: ClipsAre,
    mains_hz: float | None,
    named: Mapping[str, str] | None,
) -> _Signals:
    """Windows of the modalities that the model reads; the ECG is that of `ecg_path`, where there is such a file."""
    file, params, told = open_recording(found.path), model.params, ""
    of_ecg = open_recording(ecg_path) if ecg_path is not None and "ecg" in model.inputs else file
    in_two = ecg_path is not None and len(model.inputs) == len(MODALITIES)
    if in_two:
        end_together(file, of_ecg)
    recordings: dict[Modality, Recording | LongRecording] = {}
    for modality in (each for each in MODALITIES if each in model.inputs):
        wanted = tuple(model.about["training"][modality]["recorded"])
        recordings[modality] = modality_recording(
            of_ecg if modality == "ecg" else file, found.name, modality, wanted, named
        )
    if ecg_path is not None and in_two:
        if {found.path.suffix.lower(), ecg_path.suffix.lower()} == {".edf"}:  # other formats are taken to
            check_same_start(found.path, ecg_path)
        recordings, told = shared_stretch(recordings)
    windows: dict[Modality, PreparedWindows] = {}
    for modality, recording in recordings.items():
        blocks = window_blocks(
            recording,
            modality,
            with_mains(params.filter[model.cohort][modality], mains_hz),
            RATE_HZ,
            params.shard[model.cohort][modality],
        )
        windows[modality] = joined(list(blocks) if clips == "consecutive" else _last(blocks, _last_s(model)))
    return _Signals(windows, {modality: each.rate_hz for modality, each in recordings.items()}, told)


def _last_s(model: FittedModel) -> float:
    """The part of a recording that is a clip, s; infinite: all of it."""
    last_s = model.params.clips[model.cohort].last_s
    return math.inf if last_s is None else float(last_s)


def _last(blocks: Iterable[PreparedWindows], last_s: float) -> list[PreparedWindows]:
    """The windows in the last seconds, held no longer than they may be among these."""
    kept: list[PreparedWindows] = []
    for block in blocks:
        kept.append(block)
        end = block.start_s[-1] + block.window_s
        rows = [each.start_s + START_TOLERANCE_S >= end - last_s for each in kept]
        kept = [each.chosen(inside) for each, inside in zip(kept, rows, strict=True) if inside.any()]
    return kept


def _rows(found: Found, signals: _Signals, model: FittedModel, clips: ClipsAre) -> Iterator[dict[str, Any]]:
    pairs = _paired(signals)
    first = next(iter(signals.windows.values()))
    starts = first.start_s[next(iter(pairs.values()))]
    length_s, last_s = first.window_s, _last_s(model)
    wanted = len(starts) if math.isinf(last_s) else max(int(last_s / length_s + START_TOLERANCE_S), 1)
    if model.about["scored_by"] == "window":
        wanted = 1
    for number, mine in enumerate(_clips(len(starts), wanted, clips, model), 1):
        data = _clip_data(found.name, number, signals, {each: rows[mine] for each, rows in pairs.items()}, model)
        data = by_rule(data, model.params.clips[model.cohort])  # as in training
        probability = model.predict(data)[0]
        sentences = unlike(data, model.about["training"], model.inputs, signals.recorded_hz)[0]
        if signals.told:
            sentences.append(signals.told)
        if len(mine) < wanted:
            sentences.append(f"{len(mine) * length_s:g} s of signal, a clip has {wanted * length_s:g}")
        raised = {
            flag
            for modality, rows in pairs.items()
            for flag, values in signals.windows[modality].flags.items()
            if values[rows[mine]].any()
        }
        for task, value in zip(model.tasks, probability.tolist(), strict=True):
            threshold = float(model.about["thresholds"][task])
            yield {
                "record": found.name,
                "file": found.path.name,
                "clip": number,
                "start_s": f"{starts[mine[0]]:.3f}",
                "end_s": f"{starts[mine[-1]] + length_s:.3f}",
                "windows": len(mine),
                "task": task,
                "probability": f"{value:.6f}",
                "threshold": f"{threshold:.6f}",
                "high": int(value >= threshold),
                "flags": " ".join(sorted(raised)),
                "warnings": "; ".join(sentences),
                "trained_on": model.trained_on,
            }


def _paired(signals: _Signals) -> dict[Modality, npt.NDArray[np.int64]]:
    """Rows of each modality's windows that start together, in order of time."""
    if len(signals.windows) == 1:
        return {modality: np.arange(len(windows)) for modality, windows in signals.windows.items()}
    eeg, ecg = signals.windows["eeg"], signals.windows["ecg"]
    of_eeg, of_ecg = starting_together(eeg.start_s, ecg.start_s)
    if not len(of_eeg):
        raise RejectedRecord("no EEG window starts together with an ECG window: the two are of different lengths")
    return {"eeg": of_eeg, "ecg": of_ecg}


def _clips(windows: int, wanted: int, clips: ClipsAre, model: FittedModel) -> list[npt.NDArray[np.int64]]:
    """Which of so many windows make up each clip."""
    if clips == "recording" and model.about["scored_by"] == "clip":
        return [np.arange(windows)]
    whole, rest = divmod(windows, wanted)
    if not whole:
        raise RejectedRecord(f"{windows} window(s): a clip has {wanted}")
    back = any(model.params.shard[model.cohort][modality].align == "end" for modality in model.inputs)
    first = rest if back else 0  # laid as the windows themselves are: back from the end, or from the start
    return [np.arange(first + number * wanted, first + (number + 1) * wanted) for number in range(whole)]


def _clip_data(
    name: str, number: int, signals: _Signals, rows: dict[Modality, npt.NDArray[np.int64]], model: FittedModel
) -> ClipData:
    """One clip of the recorded channels, as in training; a modality that the model does not read is absent."""
    chosen = {modality: windows.chosen(rows[modality]) for modality, windows in signals.windows.items()}
    count = len(next(iter(chosen.values())))
    valid = np.min([windows.valid_patches for windows in chosen.values()], axis=0)
    arrays: dict[str, Any] = {}
    for modality in MODALITIES:
        channels = tuple(model.about["training"].get(modality, NO_CHANNELS)["recorded"])
        arrays[f"{modality}_channels"] = channels
        if modality in chosen:
            arrays[modality], arrays[f"{modality}_present"] = chosen[modality].samples, chosen[modality].present.copy()
            gone = chosen[modality].flags["no_beats"]  # as in training: an ECG without heartbeats is absent
            arrays[modality][gone], arrays[f"{modality}_present"][gone] = 0, False
        else:
            arrays[modality] = np.zeros((count, len(channels), int(model.about["patches"]), PATCH_SAMPLES), np.float32)
            arrays[f"{modality}_present"] = np.zeros((count, len(channels)), bool)
    return ClipData(
        subjects=np.array([name]),
        clips=np.array([number], np.int64),
        labels=np.full((1, len(model.tasks)), HIDDEN_LABEL, np.int8),
        valid_patches=valid.astype(np.int64),
        clip_of=np.zeros(count, np.int64),
        tasks=model.tasks,
        ecg_unit=str(model.about["training"].get("ecg", NO_CHANNELS)["unit"]),
        **arrays,
    )


def _summary(model: FittedModel, recordings: Recordings, rows: int, warned: int) -> dict[str, Any]:
    about = model.about
    return {
        "model": {name: about[name] for name in _OF_MODEL} | {"content_sha256": about["content_sha256"]},
        "trained_on": model.trained_on,
        **({"simulated": SIMULATED} if model.simulated else {}),
        "recordings": len(recordings.found),
        "predicted": recordings.used,
        "refused": len(recordings.refused.rows),
        "rows": rows,
        "rows_with_warnings": warned,
    }

"""What each row of Table 1 costs: CPU time of one fit and of predicting, peak memory, trained parameters.

A row is one method on one fold and one seed (the first of both) of stored windows, in a process of its own, with one
thread. Its times are:

- prepare: what the method computes of all windows without their labels, once for all folds and seeds;
- fit: the fold's training and validation subjects, in a fresh process, so that loading and compiling what the method
  needs are part of it, and so is whatever it keeps by content that `prepare` has not made;
- predict: the fold's test subjects.

Peak memory is that of the process, windows included; beside it stands what it was before the method began.
ECG encoders are untrained unless `--encoder` names one: cost does not depend on weights.

Two of our implementations are then compared with the plain ones, in turn: see `plain_methods.py`.

    python benchmarks/methods.py [--windows data/windows/eegmat] [--methods handcrafted tfc] [--params params.yaml]

Without `--windows`: a small simulated cohort, made anew. Without `--params`: the preset `eleven`. A row's settings are
those in force; the table names what differs from the defaults. Prints two Markdown tables; last line: JSON with all of
it, whole settings included.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from physiopipe.clips.clip_data import ClipData
from physiopipe.clips.selection import load_clips
from physiopipe.cohorts.eegmat import ECG_CHANNEL, EEG_CHANNELS, TASK
from physiopipe.cohorts.heartbeats import DOWER, F64
from physiopipe.cohorts.planted_signals import QUANTITIES, Head, ecg_of_levels, eeg_of_levels
from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.cross_validation import Study
from physiopipe.experiments.fold_run import FoldRun
from physiopipe.experiments.subject_splits import subject_split
from physiopipe.methods.base import Setup
from physiopipe.methods.registry import METHODS, known_method, method_class, missing_extras
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.weights import save_encoder
from physiopipe.params import Params
from physiopipe.params.presets import preset_with
from physiopipe.params.reading import load_params
from physiopipe.params.section import Section
from physiopipe.recordings.montage import positions_m
from physiopipe.windows.store import WindowStore

PRESETS = Path(__file__).parents[1] / "presets"
PRESET = "eleven"
SIMULATED = "eegmat"  # the cohort that the made windows stand for
RATE_HZ, WINDOW_S = 200, 10


def cohort_of(windows: Path | None) -> str:
    """The cohort that a folder of windows is of."""
    return str(WindowStore(windows).manifest["cohort"]) if windows else SIMULATED


def parameters(path: Path | None, cohort: str, rows: list[str]) -> Params:
    """A parameter file, or the preset with these rows besides its own; one thread, on the CPU."""
    if path:
        params = load_params(path)
        if cohort not in params.clips:
            raise PhysiopipeError(
                f"the windows are of {cohort!r}, and {path} has no such cohort: expected it in cohorts.downstream. "
                "Name that study's parameters."
            )
    else:
        own = preset_with(PRESETS, PRESET, []).methods
        named = ", ".join(dict.fromkeys([*own, *rows]))
        params = preset_with(PRESETS, PRESET, [f"cohorts.downstream=[{cohort}]", f"methods=[{named}]"])
    return params.with_section(run=params.run.model_copy(update={"device": "cpu", "threads": 1}))


def made_clips(subjects: int, windows: int) -> ClipData:
    """Rest and arithmetic of so many people, `windows` windows of each, with alpha power and heart rate planted."""
    eeg: list[F64] = []
    ecg: list[F64] = []
    flat = np.array([position[:2] for position in positions_m(EEG_CHANNELS).values()])
    samples = windows * WINDOW_S * RATE_HZ
    for person in range(subjects):
        rng = np.random.default_rng([person, 3])
        head = Head.draw(rng, flat / np.abs(flat).max())
        for arithmetic in (0, 1):
            level = dict.fromkeys(QUANTITIES, 0.0) | {"alpha": -2.0 * arithmetic, "heart_rate": 2.0 * arithmetic}
            parts = (
                eeg_of_levels(rng, head, level, samples, RATE_HZ, 10.0, 45.0),
                ecg_of_levels(rng, level, samples, RATE_HZ, DOWER[1:2]),
            )
            for kept, signal in zip((eeg, ecg), parts, strict=True):
                kept.append(signal.reshape(len(signal), windows, WINDOW_S, RATE_HZ).swapaxes(0, 1))
    count = 2 * subjects * windows
    return ClipData(
        subjects=np.repeat([f"s{person:02d}" for person in range(subjects)], 2).astype(np.str_),
        clips=np.tile([1, 2], subjects).astype(np.int64),
        labels=np.tile([0, 1], subjects).astype(np.int8)[:, None],
        eeg=np.concatenate(eeg).astype(np.float32),
        ecg=np.concatenate(ecg).astype(np.float32),
        eeg_present=np.ones((count, len(EEG_CHANNELS)), dtype=bool),
        ecg_present=np.ones((count, 1), dtype=bool),
        valid_patches=np.full(count, WINDOW_S, dtype=np.int64),
        clip_of=np.repeat(np.arange(2 * subjects), windows),
        tasks=(TASK,),
        eeg_channels=EEG_CHANNELS,
        ecg_channels=(ECG_CHANNEL,),
    )


def clips_of(arguments: argparse.Namespace, params: Params, cohort: str) -> ClipData:
    """The stored clips, chosen as a study chooses them; or those made."""
    if not arguments.windows:
        return made_clips(arguments.subjects, arguments.windows_per_clip)
    study = Study("", params, cohort, arguments.windows.parent, None, arguments.windows)
    return load_clips(arguments.windows, study.rule.last_s, study.high_from)


def peak_mib() -> float:
    """Peak resident memory of this process so far, MiB.

    Linux's own number of this program; `getrusage` would count what the parent held when it started this one.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def changed(section: Section) -> str:
    """The settings that differ from the defaults, `name=value` each; those of sections inside have dotted names."""

    def differing(found: dict[str, Any], usual: dict[str, Any], before: str = "") -> list[str]:
        told = []
        for name, value in found.items():
            if isinstance(value, dict) and isinstance(usual.get(name), dict):
                told += differing(value, usual[name], f"{before}{name}.")
            elif value != usual.get(name):
                told.append(f"{before}{name}={value}")
        return told

    return ", ".join(differing(section.model_dump(mode="json"), type(section)().model_dump(mode="json"))) or "defaults"


def measured(name: str, params: Params, clips: ClipData, encoder: Path | None) -> dict[str, Any]:
    """The cost of one row, in this process."""
    seed, protocol = params.evaluate.seeds[0], params.evaluate.protocol
    fold = subject_split(clips.subjects.tolist(), protocol, seed)[0]
    train, validation, test = FoldRun(seed, 0, fold, "", "").sides(clips)
    with tempfile.TemporaryDirectory() as folder:
        if encoder is None:
            encoder = Path(folder) / "ecg_encoder.safetensors"
            torch.manual_seed(0)
            save_encoder(encoder, CrissCrossEncoder(params.pretrain.encoder), {})
        setup = Setup(params, encoder, Path(folder) / "state")
        kind = method_class(name)
        method = kind(setup)
        before_mib, begun = peak_mib(), time.process_time()
        method.precompute(clips.without_labels())
        prepared = time.process_time()
        method.fit(train, validation, seed)
        fitted = time.process_time()
        method.predict(test.without_labels())
        predicted = time.process_time()
    section = setup.section(name, kind.Settings)
    return {
        "method": name,
        "prepare_cpu_s": round(prepared - begun, 2),
        "fit_cpu_s": round(fitted - prepared, 2),
        "predict_cpu_s": round(predicted - fitted, 3),
        "peak_mib": round(peak_mib()),
        "before_mib": round(before_mib),
        "trained_parameters": method.trained_parameters,
        "windows": [len(side.clip_of) for side in (train, validation, test)],
        "changed": changed(section),
        "settings": section.model_dump(mode="json"),
    }


def measured_alone(name: str) -> dict[str, Any]:
    """As `measured`, in a process of its own, started with this one's arguments."""
    command = [sys.executable, __file__, *sys.argv[1:], "--one", name]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise PhysiopipeError(f"{name} could not be measured; its process ended with:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def rows_table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| method | prepare, CPU s | fit, CPU s | predict, CPU s | peak (before), MiB | trained | settings |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for row in rows:
        number = row["trained_parameters"]
        trained = "–" if number is None else f"{number:,}"
        cells = (
            row["method"], f"{row['prepare_cpu_s']:.2f}", f"{row['fit_cpu_s']:.2f}", f"{row['predict_cpu_s']:.3f}",
            f"{row['peak_mib']:,} ({row['before_mib']:,})", trained, row["changed"].replace("|", "\\|"),
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=Path, help="folder of a downstream cohort's windows; default: made ones")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), metavar="NAME", help="rows; default: all")
    parser.add_argument("--params", type=Path, help=f"a study's parameters; default: the preset {PRESET}")
    parser.add_argument("--encoder", type=Path, help="pretrained ECG encoder; default: an untrained one")
    parser.add_argument("--subjects", type=int, default=10, help="people of the made windows, at least 5")
    parser.add_argument("--windows-per-clip", type=int, default=3, help="of the made windows")
    parser.add_argument("--rounds", type=int, default=3, help="of each comparison with a plain implementation; 0: none")
    parser.add_argument("--series", type=int, default=128, help="series of a compared step of TF-C")
    parser.add_argument("--prompted", type=int, default=4, help="windows of a compared step of Time-LLM")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    names = [known_method(name) for name in arguments.methods]
    if missing := [reason for name in names if (reason := missing_extras(name))]:
        raise PhysiopipeError("\n".join(missing))
    cohort = cohort_of(arguments.windows)
    params = parameters(arguments.params, cohort, names)
    if arguments.one:
        clips = clips_of(arguments, params, cohort)
        print(json.dumps(measured(arguments.one, params, clips, arguments.encoder)))
        return
    rows = []
    for name in names:
        rows.append(measured_alone(name))
        print(f"{name}: fit {rows[-1]['fit_cpu_s']} s", file=sys.stderr, flush=True)
    origin = f"stored windows of {cohort}" if arguments.windows else f"made windows like those of {cohort}"
    sides = "/".join(map(str, rows[0]["windows"]))
    print(f"One fold and seed; {origin}: {sides} to train on, to validate on and to test on; one thread.\n")
    print(rows_table(rows))
    found: dict[str, Any] = {"origin": origin, "rows": rows}
    if arguments.rounds:
        from plain_methods import comparisons, comparisons_table

        clips = clips_of(arguments, params, cohort)
        found["plain"] = comparisons(params, clips, arguments.series, arguments.prompted, arguments.rounds)
        print(f"\n{comparisons_table(found['plain'])}")
    print(json.dumps(found))


if __name__ == "__main__":
    try:
        main()
    except PhysiopipeError as error:
        sys.exit(f"error: {error}")

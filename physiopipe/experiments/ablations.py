"""Ours with one thing changed: the claims of the paper, and two controls, each as predictions of its own.

What needs another pretrained encoder pretrains it, kept under a digest of its parameters, code and windows, so that
variants that ask for the same one share it and a later run finds it.
"""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from physiopipe.checksums import read_kept, seal
from physiopipe.code_digest import code_digest, library_versions
from physiopipe.cohorts.registry import cohort
from physiopipe.errors import PhysiopipeError, unknown
from physiopipe.experiments.ablation import Ablation
from physiopipe.experiments.cross_validation import Study, run_method
from physiopipe.experiments.encoders_worth import ENCODERS_WORTH
from physiopipe.experiments.gap_cells import GAP_CELLS
from physiopipe.experiments.leaks import run_leaky
from physiopipe.experiments.predictions import read_predictions, write_predictions
from physiopipe.experiments.readings import READINGS
from physiopipe.experiments.rival_settings import RIVAL_SETTINGS
from physiopipe.files import hold_lock, sha256_file, sha256_json
from physiopipe.methods.registry import settings_class
from physiopipe.params import Params, check_params
from physiopipe.training.pretrain import PretrainFiles
from physiopipe.windows.pretraining import pretrain_on_store
from physiopipe.windows.store import WindowStore

_NO_EEG_WEIGHTS = {"encoders.eeg_weights.origin": "none"}
_PATCH = {"pretrain.masking.channel_ratio": 0.0, "pretrain.objective.channel_weight": 0.0,
          "pretrain.objective.patch_weight": 1.0}  # fmt: skip
_CHANNEL = {"pretrain.masking.patch_ratio": 0.0}
ABLATION_OF: dict[str, Ablation] = {
    "ecg_untrained": Ablation("ECG encoder untrained", "pretraining", ecg_encoder="none"),
    "eeg_untrained": Ablation("EEG encoder untrained", "pretraining", _NO_EEG_WEIGHTS),
    "both_untrained": Ablation("Both encoders untrained", "pretraining", _NO_EEG_WEIGHTS, ecg_encoder="none"),
    "dual_masking": Ablation("Patch and channel masking, four rates", "ECG pretraining", ecg_encoder="own"),
    "patch_masking": Ablation(
        "Patch masking only", "ECG pretraining", _PATCH, ecg_encoder="own", versus="dual_masking"
    ),
    "channel_masking": Ablation(
        "Channel masking only", "ECG pretraining", _CHANNEL, ecg_encoder="own", versus="dual_masking"
    ),
    "one_rate": Ablation(
        "One rate (200 Hz)", "ECG pretraining", ecg_encoder="own", versus="dual_masking", one_rate=True
    ),
    "shared_encoder": Ablation("The ECG encoder for both modalities", "encoders", {"method.ours.shared_encoder": True}),
    "train_25": Ablation("25 % of the training subjects", "label efficiency", {"evaluate.train_share": 0.25}),
    "train_50": Ablation("50 % of the training subjects", "label efficiency", {"evaluate.train_share": 0.5}),
    "leaky_ours": Ablation("LEAKY: windows shuffled, Ours", "leakage", leaky=True),
    "honest_neighbours": Ablation("5 nearest neighbours, honest", "leakage", method="nearest_neighbours"),
    "leaky_neighbours": Ablation(
        "LEAKY: windows shuffled, 5 nearest neighbours",
        "leakage",
        method="nearest_neighbours",
        versus="honest_neighbours",
        leaky=True,
    ),
    "brant_x_style_aligned": Ablation(
        "Brant-X-style alignment (stand-in), aligned", "alignment", method="brant_x_style"
    ),
    "brant_x_style_unaligned": Ablation(
        "Brant-X-style alignment (stand-in), not aligned",
        "alignment",
        {"method.brant_x_style.align": False},
        method="brant_x_style",
        versus="brant_x_style_aligned",
    ),
    **ENCODERS_WORTH,
    **READINGS,
    **RIVAL_SETTINGS,
    **GAP_CELLS,
}  # fmt: skip


def known_ablation(name: str) -> str:
    """The name itself.

    Raises:
        PhysiopipeError: no ablation has it; the nearest one that has is told.
    """
    if name not in ABLATION_OF:
        raise PhysiopipeError(unknown("ablation", name, ABLATION_OF))
    return name


def run_ablation(name: str, study: Study, out_parquet: Path) -> None:
    """Predictions of one ablation over the protocol's seeds and folds; pretrains first where it must.

    Args:
        study: of the method without a change, with the pretrained ECG encoder; its `windows_root` holds the windows of
            the pretraining cohort too (read only by what pretrains), its `state_folder` keeps pretrained encoders.
    """
    spec, params = ABLATION_OF[known_ablation(name)], study.params
    variant = variant_of(name, study)
    if spec.ecg_encoder == "own" and not variant.no_row:
        pretrained(spec, variant.params, params, *_places(study))
    run = run_leaky if spec.leaky else run_method
    run(variant, out_parquet)
    frame, about = read_predictions(out_parquet)
    about |= {"ablation": name, "title": spec.title, "claim": spec.claim, "versus": spec.versus}
    del about["note"]  # what is said of the method is not said of its variant
    if name in ("eeg_untrained", "both_untrained") and params.encoders.eeg_weights.origin == "none":
        about["note"] = "The EEG encoder is untrained in Ours too: no weights were given."
    if spec.note:
        about["note"] = spec.note
    if spec.ecg_encoder == "own":
        about["pretrain_epochs"] = variant.params.pretrain.epochs
    write_predictions(out_parquet, pd.DataFrame(frame).assign(method=name), about)


def variant_of(name: str, study: Study) -> Study:
    """The study that an ablation is; where its ECG encoder is one of its own, the file may not be there yet."""
    spec = ABLATION_OF[known_ablation(name)]
    if reason := _without_meaning(spec, study):
        return replace(study, method=spec.method, no_row=reason)
    changed = changed_params(spec, study.params, study.cohort)
    encoder = None if spec.ecg_encoder == "none" else study.encoder_path
    if spec.ecg_encoder == "own":
        encoder, _ = _own_encoder(spec, changed, study.params, *_places(study))
    return replace(study, method=spec.method, params=changed, encoder_path=encoder)


def _without_meaning(spec: Ablation, study: Study) -> str:
    """Why a cohort has no such row; empty where it has one."""
    absent = [key for key in spec.clips if key not in type(study.rule).model_fields]
    if absent:
        return f"clips.{study.cohort} has no {absent[0]}."
    if spec.clips.get("baseline") and cohort(study.cohort).baseline is None:
        return f"{study.cohort} has no recordings of a baseline."
    return ""


def _places(study: Study) -> tuple[Path, Path, Path]:
    """Of the windows to pretrain on, of the study's own ECG encoder, and of the ones that ablations pretrain."""
    assert study.encoder_path is not None
    return study.windows_root / study.params.cohorts.pretraining, study.encoder_path, study.state_folder / "pretrain"


def changed_params(spec: Ablation, params: Params, name: str = "") -> Params:
    """The parameters with an ablation's changes, checked as a whole; `name` is of the cohort whose clips it changes."""
    content = params.model_dump(mode="json")
    known = settings_class(spec.method).model_fields
    for other in spec.like:
        taken = {key: value for key, value in content["method"].get(other, {}).items() if key in known}
        content["method"][spec.method] = content["method"].get(spec.method, {}) | taken
    changes = spec.changes | {f"clips.{name}.{key}": value for key, value in spec.clips.items() if name}
    if spec.ecg_encoder == "own":
        changes.setdefault("pretrain.epochs", params.ablations.pretrain_epochs or params.pretrain.epochs)
    for key, value in changes.items():
        *path, last = key.split(".")
        place = content
        for step in path:
            place = place.setdefault(step, {})  # a method that the study does not list has no section yet
        place[last] = value
    return check_params(content, f"ablation {spec.title}")


def pretrained(
    spec: Ablation, changed: Params, params: Params, windows: Path, study_encoder: Path, state: Path
) -> Path:
    """The ECG encoder of these parameters: the study's where it is the same run, else a kept or a new one."""
    encoder, changed = _own_encoder(spec, changed, params, windows, study_encoder, state)
    if encoder == study_encoder:
        return encoder
    folder = encoder.parent
    files = PretrainFiles(encoder, *(folder / name for name in ("loss.csv", "metrics.json", "reconstructions.npz")))
    with hold_lock(state / f"{folder.name}.lock"):
        if read_kept(files.encoder) is None:
            print(f"{spec.title}: pretraining an ECG encoder for {changed.pretrain.epochs} epochs", flush=True)
            pretrain_on_store(windows, changed, files)
            seal(files.encoder)
    return files.encoder


def _own_encoder(
    spec: Ablation, changed: Params, params: Params, windows: Path, study_encoder: Path, state: Path
) -> tuple[Path, Params]:
    """Where the ECG encoder of these parameters is, or will be, and what it is pretrained with."""
    if spec.one_rate:
        changed = _at_one_rate(changed, WindowStore(windows))
    if changed.pretrain == params.pretrain:
        return study_encoder, changed
    digest = sha256_json(
        {
            "pretrain": changed.pretrain.model_dump(mode="json"),
            "windows_sha256": sha256_file(windows / "manifest.json"),
            "code": code_digest(pretrain_on_store.__module__),
            "libraries": library_versions(["numpy", "torch"]),
        }
    )
    return state / digest / "ecg_encoder.safetensors", changed


def _at_one_rate(params: Params, store: WindowStore) -> Params:
    """Pretraining at 200 Hz alone, with so many epochs that it takes as many steps as with every rate."""
    rates = tuple(rate for rate, weight in params.pretrain.rate_weights.items() if weight > 0)
    every, one = len(store.rows("ecg", rates)), len(store.rows("ecg", (200,)))
    epochs = max(1, round(params.pretrain.epochs * every / max(one, 1)))
    settings = params.pretrain.model_copy(update={"rate_weights": {200: 1.0}, "epochs": epochs})
    return params.model_copy(update={"pretrain": settings})

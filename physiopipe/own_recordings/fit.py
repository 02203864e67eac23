"""Fit a method on all people of a cohort, once its cross-validation is done, and keep it in a folder."""

import copy
import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from physiopipe.clips.clip_data import MODALITIES, ClipData, Modality
from physiopipe.clips.reading import RATE_HZ
from physiopipe.code_digest import library_versions
from physiopipe.cohorts.registry import cohort
from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.cross_validation import CrossValidation, Study
from physiopipe.experiments.fold_run import best_threshold, check_disjoint
from physiopipe.experiments.predictions import read_predictions
from physiopipe.experiments.subject_splits import subject_split
from physiopipe.files import atomic_folder, read_json, sha256_file, sha256_json
from physiopipe.methods.base import Method
from physiopipe.models.weights import fetch_weights, read_metadata, read_tensors, save_tensors
from physiopipe.own_recordings.card import model_card
from physiopipe.own_recordings.fitted import ABOUT, ENCODERS, load_model, mean_prediction, probe_clips, write_model
from physiopipe.own_recordings.likeness import likeness
from physiopipe.params import Params
from physiopipe.results.intervals import estimate
from physiopipe.results.study import study_of
from physiopipe.results.test_set import read_predictions_of

_TOLD = (
    "cohort", "cohort_title", "simulated", "method", "title", "note", "details", "reads", "encoders", "provenance",
    "licence", "inputs", "tasks", "high_from", "last_s", "windows_sha256",
)  # fmt: skip
_MUST_AGREE = (
    "fingerprint", "windows_sha256", "last_s", "signals", "baseline", "scored_by", "high_from", "code", "libraries",
)  # fmt: skip


def fit_model(study: Study, results: Path, out: Path, seed: int) -> dict[str, Any]:
    """Fit `study.method` on all its cohort's people and write the folder `out`; returns what `model.json` says.

    People are dealt into five groups by `seed`. Five fits are made, each on all people but those of one group, who
    validate it (they choose the epoch or the penalty, where a method has one): every person is learnt from. The
    model's probability is the mean of the fits'. Thresholds come from inner folds, whose fits have seen neither the
    person that they predict nor another one's clips for the choice.

    Args:
        results: results/<cohort> of the study, whose metrics and predictions of the method must be those of the same
            parameters, windows and code: the model card states its cross-validated numbers.

    Raises:
        PhysiopipeError: the method reads no signal or says nothing on the cohort, its results are missing or made by
            something else, or what it has learnt cannot be kept in a folder.
    """
    if out.exists() and not (out / ABOUT).is_file():
        raise PhysiopipeError(f"{out} is there and is no fitted model: it is not replaced. Name another folder.")
    validation = CrossValidation(_inner(study, seed))
    method = validation.method
    _check_worth(study, method)
    numbers = _cross_validated(results, study, validation)
    runs = validation.runs()
    validation.make_missing(runs)
    inner = validation.predictions(runs)
    clips = validation.clips
    thresholds = {}
    for task in clips.tasks:
        of_task = inner[inner["label"] == task]
        thresholds[task] = best_threshold(of_task["truth"].to_numpy(np.int8), of_task["probability"].to_numpy())
    members = _members(validation, clips, seed)
    about = _about(study, validation, clips, seed) | {"thresholds": thresholds, "cross_validated": numbers}
    about["probe"] = mean_prediction(members, probe_clips(about))[0].tolist()
    with tempfile.TemporaryDirectory() as scratch, atomic_folder(out) as temporary:
        encoders = _encoders(study, method, Path(scratch))
        write_model(temporary, members, about, encoders, model_card(about, cohort(study.cohort)))
        # what a method keeps elsewhere, a reader of the folder would not have
        reread = load_model(temporary, Path(scratch) / "state")
        if not np.allclose(reread.predict(clips), mean_prediction(members, clips), atol=1e-6):
            raise PhysiopipeError(
                f"method {study.method!r} predicts something else once it is read from its folder: fit another one."
            )
    return about


def _inner(study: Study, seed: int) -> Study:
    evaluate = study.params.evaluate.model_copy(
        update={"protocol": "crossval", "seeds": (seed,), "train_share": 1.0}
    )  # fmt: skip
    return replace(study, params=study.params.with_section(evaluate=evaluate))


def _check_worth(study: Study, method: Method) -> None:
    reason = study.without_meaning or ("" if method.inputs else "it reads no signal.")
    if "alone" in method.exempt:
        reason = f"{method.exempt['alone']} A recording of one's own is predicted by itself."
    if study.rule.baseline != "none" and method.uses_baseline:
        raise PhysiopipeError(
            f"clips.{study.cohort}.baseline is {study.rule.baseline}, and recordings of one's own come without a "
            "baseline: set it to none, run `dvc repro`, and fit again."
        )
    if reason:
        raise PhysiopipeError(
            f"{study.method} on {study.cohort}: {reason.rstrip('.')}. Fit another method, as handcrafted or ours."
        )


def _cross_validated(results: Path, study: Study, validation: CrossValidation) -> dict[str, Any]:
    """What the study found of this very method: by task, its metrics; and how they were found."""
    again = f"Run `dvc repro`, with {study.method!r} among `methods` of params.yaml, then fit again."
    predictions = results / "predictions" / f"{study.method}.parquet"
    if not predictions.is_file() or not (results / "metrics.json").is_file():
        raise PhysiopipeError(f"{results} has no results of {study.method!r}, which the model card states. {again}")
    frame, about = read_predictions(predictions)
    now = validation.about()
    if other := [key for key in _MUST_AGREE if about.get(key) != now.get(key)]:
        raise PhysiopipeError(
            f"{predictions} was made with another state of: {', '.join(other)}; its numbers are not this model's. "
            f"{again}"
        )
    metrics = read_json(results / "metrics.json")
    if study.method not in metrics:
        raise PhysiopipeError(f"{results / 'metrics.json'} says nothing of {study.method!r}. {again}")
    evaluated = study_of(study.params, study.cohort)
    test = read_predictions_of({study.method: predictions}, evaluated)  # of the protocol and seeds that are in force
    weights, evaluate = np.ones((1, len(test.subjects))), study.params.evaluate
    found = estimate(test.methods[study.method], weights, evaluate.confidence, evaluated.tasks, evaluated.headline)
    for task in evaluated.tasks:
        said, value = metrics[study.method].get(task, {}).get("auc", np.nan), found.value[task]["auc"]
        if not np.isclose(said, value, atol=1e-5, equal_nan=True):
            raise PhysiopipeError(
                f"{results / 'metrics.json'} is of other predictions: it has an AUC of {said} for {task}, and "
                f"{predictions} gives {value:.6f}. {again}"
            )
    return {
        "metrics": metrics[study.method],
        "headline": cohort(study.cohort).headline,
        "protocol": study.params.evaluate.protocol,
        "confidence": study.params.evaluate.confidence,
        "seeds": int(frame["seed"].nunique()),
        "people": int(frame["subject"].nunique()),
        "clips": len(frame[["subject", "clip"]].drop_duplicates()),
    }


def _members(validation: CrossValidation, clips: ClipData, seed: int) -> list[Method]:
    """The five fits; each is kept, so that an interrupted run goes on."""
    method, kept = validation.method, validation.kept
    names = sorted(set(clips.subjects.tolist()))
    told = validation.about()
    members = []
    folds = subject_split(names, "crossval", seed)
    for fold in tqdm(folds, desc=f"fit {method.name}", unit="fit", disable=None):
        validating = clips.of_subjects(fold.test)
        train = clips.of_subjects(name for name in names if name not in fold.test)
        check_disjoint(train, validating, clips.of_subjects(()))
        inputs = {key: told.get(key) for key in ("method", *_MUST_AGREE)}
        digest = sha256_json({"all_people": inputs, "seed": seed, "validating": list(fold.test)})
        member, known = copy.copy(method), kept.fitted(digest)
        if known is None:
            member.fit(train, validating, seed)
            kept.save_fitted(digest, member)
        else:
            member.restore(*known)
        members.append(member)
    return members


def _about(study: Study, validation: CrossValidation, clips: ClipData, seed: int) -> dict[str, Any]:
    known, params = cohort(study.cohort), study.params
    has = [each for each in MODALITIES if each in known.modalities]
    stored = {each: validation.store.attributes(each, RATE_HZ) for each in has}
    units: dict[Modality, str] = {each: str(of["unit"]) for each, of in stored.items()}
    recorded: dict[Modality, list[str]] = {each: list(of["channels"]) for each, of in stored.items()}
    rates: dict[Modality, list[float]] = {
        each: list(known.rates_hz(each, params.data[study.cohort]).values()) for each in has
    }
    told = validation.about()
    return {
        **{name: told[name] for name in _TOLD},
        "physiopipe": version("physiopipe"),
        "libraries": told["libraries"] | library_versions(["numpy", "scipy"]),
        "params": _kept_params(params, study),
        "patches": int(clips.eeg.shape[2]),
        "people": len(set(clips.subjects.tolist())),
        "clips": len(clips),
        "seed": seed,
        "training": likeness(clips, recorded, rates, units),
        "scored_by": known.scored_by,
        "caveats": list(known.caveats),
        "tasks_are": {task.name: task.what for task in known.tasks},
    }


def _kept_params(params: Params, study: Study) -> dict[str, Any]:
    """The parameters that a recording's way to a probability depends on; none that says where something lies."""
    name = study.cohort
    steps = ("filter", "resample", "shard", "clips")
    encoders = params.encoders.model_dump(mode="json")
    if encoders["eeg_weights"]["origin"] != "none":
        encoders["eeg_weights"] = {"origin": "none"}  # a reader finds the file in the folder
    own_cohorts = {each: of.model_dump(mode="json") for each, of in params.cohorts.own.items() if each == name}
    own = params.method[study.method].model_dump(mode="json") if study.method in params.method else None
    return {
        "cohorts": {"pretraining": params.cohorts.pretraining, "downstream": [name], "own": own_cohorts},
        **{step: {name: getattr(params, step)[name].model_dump(mode="json")} for step in steps},
        "pretrain": {"encoder": params.pretrain.encoder.model_dump(mode="json")},
        "encoders": encoders,
        "methods": [study.method],
        **({"method": {study.method: own}} if own is not None else {}),
    }


def _encoders(study: Study, method: Method, scratch: Path) -> dict[Modality, Path]:
    """Files of the encoders that a method reads, as safetensors."""
    found: dict[Modality, Path] = {}
    if "ecg" in method.encoders and study.encoder_path is not None:
        found["ecg"] = study.encoder_path
    weights = study.params.encoders.eeg_weights
    if "eeg" in method.encoders and weights.origin != "none":
        path = fetch_weights(weights)
        assert path is not None
        found["eeg"] = scratch / ENCODERS["eeg"]
        told = read_metadata(path) if path.suffix == ".safetensors" else {}
        told.pop("format", None)
        save_tensors(found["eeg"], read_tensors(path), told | {"made_from_sha256": sha256_file(path)})
    return found

"""What can be wrong in params.yaml although each value alone may stand: found before anything runs."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from physiopipe.cohorts.registry import cohort
from physiopipe.errors import PhysiopipeError
from physiopipe.params.whole import Params
from physiopipe.patches import PATCH_SAMPLES

METHODS_RATE_HZ = 200  # at this rate a patch lasts one second, as in CBraMod's training


def check_study(params: Params, where: Path) -> None:
    """Refuse parameters that contradict each other, and a file that lacks some.

    DVC reads the file itself and stops in the middle of a study where a key is missing, so all must be written.

    Raises:
        PhysiopipeError: listing every fault.
    """
    faults = [*_missing(params, where), *_of_preparation(params), *_of_training(params), *_of_evaluation(params)]
    if faults:
        raise PhysiopipeError(f"{where} has {len(faults)} fault(s):\n" + "\n".join(f"  {fault}" for fault in faults))


def _missing(params: Params, where: Path) -> Iterator[str]:
    written = yaml.safe_load(where.read_text(encoding="utf-8"))
    for key, value in _absent(params.model_dump(mode="json"), written, ""):
        yield f"{key} is missing: add it (its default is {value!r}), or write the file anew with `physiopipe preset`"


def _absent(complete: Any, written: Any, key: str) -> Iterator[tuple[str, Any]]:
    for name, value in complete.items():
        path = f"{key}.{name}" if key else str(name)
        if not isinstance(written, dict) or (name not in written and str(name) not in map(str, written)):
            yield path, value
        elif isinstance(value, dict) and isinstance(written.get(name), dict):
            yield from _absent(value, written[name], path)


def _of_preparation(params: Params) -> Iterator[str]:
    for name in params.cohorts.in_use:
        known = cohort(name)
        for kind in known.modalities:
            corners_hz, key = params.filter[name][kind].corners_hz, f"{name}.{kind}"
            lowpass_hz = 0.0 if corners_hz is None else corners_hz[1]
            for source, rate_hz in known.rates_hz(kind, params.data[name]).items():
                if lowpass_hz >= rate_hz / 2:
                    yield (
                        f"filter.{key}.lowpass_hz is {lowpass_hz:g} Hz, and {source} is recorded at {rate_hz:g} Hz: "
                        f"expected less than {rate_hz / 2:g} Hz"
                    )
                    break
            if name in params.cohorts.downstream and METHODS_RATE_HZ not in params.resample[name][kind].rates_hz:
                yield f"resample.{key}.rates_hz lacks {METHODS_RATE_HZ}, the rate that methods are given"


def _of_training(params: Params) -> Iterator[str]:
    built = set(params.resample[params.cohorts.pretraining]["ecg"].rates_hz)
    weighted = {rate for rate, weight in params.pretrain.rate_weights.items() if weight > 0}
    key = f"resample.{params.cohorts.pretraining}.ecg.rates_hz"
    if absent := sorted(weighted - built):
        yield f"pretrain.rate_weights draws {_listed(absent)} Hz, which {key} does not build"
    if unused := sorted(built - set(params.pretrain.rate_weights)):
        yield f"{key} builds {_listed(unused)} Hz, and pretrain.rate_weights says nothing of it: give it a weight, or 0"
    if not weighted:
        yield "pretrain.rate_weights gives no rate a weight above 0"
    if params.pretrain.final_learning_rate > params.pretrain.learning_rate:
        yield "pretrain.final_learning_rate is above pretrain.learning_rate"


def _of_evaluation(params: Params) -> Iterator[str]:
    lists = {
        "methods": params.methods,
        "ablations.variants": params.ablations.variants,
        "robustness.methods": params.robustness.methods,
        "evaluate.seeds": params.evaluate.seeds,
    }
    for key, values in lists.items():
        if twice := sorted({str(value) for value in values if values.count(value) > 1}):
            yield f"{key} names {_listed(twice)} twice"
    for name in params.cohorts.downstream:
        known, rule = cohort(name), params.clips[name]
        if params.evaluate.protocol == "published" and known.published_split is None:
            yield f"evaluate.protocol is published, and nobody published a split of {name}: expected paper or crossval"
        if "eeg" in known.modalities and params.robustness.methods:
            channels = len(known.modalities["eeg"].channels)
            if most := [count for count in params.robustness.dropped_eeg_channels if count >= channels]:
                yield f"robustness.dropped_eeg_channels has {_listed(most)}, and {name} has {channels} EEG channels"
        if rule.ecg_leads == "limb":
            ecg = known.modalities["ecg"].channels if "ecg" in known.modalities else ()
            if len({"I", "II", "III"} & set(ecg)) < 2:
                yield (
                    f"clips.{name}.ecg_leads is limb, which needs two of I, II and III: {name} has "
                    f"{_listed(ecg) or 'no ECG'}"
                )
        if rule.baseline != "none":
            yield from _of_baseline(params, name)
        if params.simulated(name) and rule.last_s is not None:
            yield from _of_hidden_change(params, name)
        unit = known.modalities["ecg"].unit if "ecg" in known.modalities else "mV"
        if params.pretrain.normalisation == "millivolt" and unit != "mV":
            yield f"pretrain.normalisation is millivolt, and the unit of {name}'s ECG is not known: z-score it"
        if rule.last_s is None:
            continue
        for kind in known.modalities:
            window_s = params.shard[name][kind].patches * PATCH_SAMPLES / METHODS_RATE_HZ
            if rule.last_s < window_s:
                yield f"clips.{name}.last_s is {rule.last_s:g} s, shorter than one window of {window_s:g} s"
        longest_s = known.longest_clip_s(params.data[name], params.simulate[name])
        if rule.last_s > longest_s:
            yield f"clips.{name}.last_s is {rule.last_s:g} s, and no clip is longer than {longest_s:g} s"


def _of_hidden_change(params: Params, name: str) -> Iterator[str]:
    """The change within a clip cancels over all of its last `change_s` seconds, and not over a part of them."""
    simulate, last_s = params.simulate[name], params.clips[name].last_s
    change_s = getattr(simulate, "change_s", None)
    if change_s not in (None, last_s) and getattr(simulate, "hidden_share", 0.0) > 0:
        yield (
            f"simulate.{name}.change_s is {change_s:g} s, and clips.{name}.last_s is {last_s:g} s: expected equal "
            "lengths, for the hidden change must lie in the middle of what is used, or band power shows it; or set "
            f"simulate.{name}.hidden_share to 0"
        )


def _of_baseline(params: Params, name: str) -> Iterator[str]:
    known, key = cohort(name), f"clips.{name}.baseline is {params.clips[name].baseline}"
    if known.baseline is None:
        yield f"{key}, and {name} has no recordings of a baseline: expected none"
    elif not known.baseline(params.data[name]):
        yield f"{key}, and the baselines are not read: set data.{name}.read_baseline to true, or this one to none"
    for method in params.methods:
        if method in params.method and not getattr(params.method[method], "frozen", True):
            yield (
                f"{key}, which works on embeddings computed once: expected method.{method}.frozen: true, or no "
                f"{method} among the methods"
            )


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(str(value) for value in values)

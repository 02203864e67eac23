"""Every registered method in a size that tests can pay for. One without an entry runs with its defaults."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from physiopipe.clips.clip_data import ClipData
from physiopipe.methods.base import Method, Setup
from physiopipe.methods.registry import METHODS, method_class, missing_extras, settings_class
from physiopipe.params import Params, check_params

SIZES = {"layers": 1, "width": 40, "feedforward": 40, "heads": 4}
_GPT2 = {"origin": "random", "width": 32, "layers": 1, "heads": 2}
_OF_GPT2 = {"gpt2": _GPT2, "patch_samples": 32, "stride_samples": 32, "batch_size": 16, "epochs": 2}
_SERIES = {"finetune_series": 128, "validation_series": 64, "pretrain_epochs": 1, "finetune_epochs": 2}
SETTINGS: dict[str, dict[str, Any]] = {
    "handcrafted": {},
    "mixed_features": {"epochs": 2, "ecg": "features"},
    "in_domain": {"pretrain_epochs": 1, "epochs": 2},
    "lin_style": {"epochs": 2, "width": 16},
    "single_lead": {"penalties": [1.0], "kept_features": [10]},
    "brant_x_style": {"align_epochs": 1, "align_batch_size": 8, "epochs": 2},
    "mlf_capsnet": {"filters": 8, "epochs": 2, "batch_size": 16, "learning_rate": 1e-3},
    "eeg_conformer": {"blocks": 1, "epochs": 2, "batch_size": 16, "recombined": 16, "learning_rate": 1e-3},
    "minirocket": {"features": 420},
    "simmtm": {"segment_s": 1.0, "pretrain_series": 32, **_SERIES},
    "tfc": {"segment_s": 0.5, "pretrain_series": 64, **_SERIES},
    "one_fits_all": _OF_GPT2,
    "time_llm": {
        "d_model": 8, "d_ff": 16, "heads": 2, "prototypes": 10, "prompt_digits": 3, "learning_rate": 1e-2, **_OF_GPT2,
    },
}  # fmt: skip


def parameters(
    folder: Path, weights: dict[str, Any] | None = None, eeg_scale_uv: float = 100.0, **settings: Any
) -> Params:
    """All methods, small, on small encoders; `settings` are those of every method that has them."""
    method = {}
    for name in METHODS:
        known = {"hidden": 32, "features": 420, **SETTINGS.get(name, {}), **settings}
        method[name] = {key: value for key, value in known.items() if key in settings_class(name).model_fields}
    content = {
        "pretrain": {"encoder": SIZES},
        "encoders": {"eeg": SIZES, "eeg_weights": weights or {"origin": "none"}, "eeg_scale_uv": eeg_scale_uv},
        "methods": list(METHODS),
        "method": method,
        "evaluate": {"protocol": "paper", "seeds": [0]},
        "run": {"state_folder": str(folder / "state"), "log_folder": "", "device": "cpu", "threads": 1},
    }
    return check_params(content, "test")


def setup(folder: Path, ecg_encoder: Path | None = None, **settings: Any) -> Setup:
    return Setup(parameters(folder, **settings), ecg_encoder, folder / "state")


def small_method(name: str, folder: Path, **settings: Any) -> Method:
    """A method of the registry, small; the test is skipped where its libraries are not installed."""
    missing = missing_extras(name)
    if missing:
        pytest.skip(missing)
    return method_class(name)(setup(folder, **settings))


def every_method(slow: Iterable[str] = (), exhaustive: Iterable[str] = ()) -> list[Any]:
    """Every registered name as a case of a test, those that cost more than they should in the quick set marked."""
    marks = {**dict.fromkeys(slow, pytest.mark.slow), **dict.fromkeys(exhaustive, pytest.mark.exhaustive)}
    return [pytest.param(name, marks=marks.get(name, ())) for name in METHODS]


def sides(clips: ClipData) -> tuple[ClipData, ClipData, ClipData]:
    """Two thirds of the subjects, those between, the last two."""
    names = sorted(set(clips.subjects))
    cut = 2 * len(names) // 3
    return clips.of_subjects(names[:cut]), clips.of_subjects(names[cut:-2]), clips.of_subjects(names[-2:])

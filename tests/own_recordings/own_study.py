"""A small encoder, and a simulated study with fitted models, made once; recordings in the formats that are read."""

import dataclasses
import os
from pathlib import Path

import pytest
import torch
from prepared import defaults, store_tree

from physiopipe.cohorts.base import imported
from physiopipe.cohorts.registry import cohort
from physiopipe.experiments.cross_validation import Study, run_method
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.weights import save_encoder
from physiopipe.own_recordings.fit import fit_model
from physiopipe.params import Encoder, Params, check_params
from physiopipe.results.evaluate import evaluate
from physiopipe.results.study import study_of
from physiopipe.signals.leads import CLINICAL_LEADS
from physiopipe.windows.encoder_input import preparation_text

SIZES = Encoder(layers=1, width=40, feedforward=80, heads=4, position_kernel=(3, 3))
LAST_S = 20.0
METHODS = ("handcrafted", "eeg_only", "ours")


def write_encoder(path: Path, **changes: str) -> Path:
    """An encoder as pretraining writes it, untrained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        encoder = CrissCrossEncoder(SIZES)
    params = defaults()
    metadata = {
        "cohort": "simulated Challenge",
        "channels": " ".join(CLINICAL_LEADS),
        "encoder": SIZES.model_dump_json(),
        "normalisation": "lead_zscore",
        "rates_hz": "100 200 500",
        "unit": "mV",
        **preparation_text(params.filter["challenge"]["ecg"], params.shard["challenge"]["ecg"]),
    }
    save_encoder(path, encoder, metadata | changes)
    return path


@dataclasses.dataclass(frozen=True)
class SmallStudy:
    """A study of five simulated people with EEG and ECG in EDF, its tables made."""

    root: Path
    tree: Path
    params: Params

    def of(self, method: str) -> Study:
        encoder = self.root / "ecg_encoder.safetensors"
        return Study(method, self.params, "eegmat", self.root / "windows", encoder, self.root / "state")

    @property
    def results(self) -> Path:
        return self.root / "results" / "eegmat"

    def model(self, method: str) -> Path:
        """The folder of a fitted method, fitted when first asked for."""
        folder = self.root / "models" / method
        if not folder.exists():
            fit_model(self.of(method), self.results, folder, seed=0)
        return folder


def samples_root() -> Path:
    name = os.environ.get("PHYSIOPIPE_SAMPLE_DIR")
    if not name:
        pytest.skip("PHYSIOPIPE_SAMPLE_DIR is not set")
    return Path(name)


def make_small_study(root: Path, methods: tuple[str, ...] = METHODS) -> SmallStudy:
    """Simulate, prepare, cross-validate and evaluate below `root`."""
    tree = root / "tree"
    few = {"ours": {"epochs": 2}, "eeg_only": {"epochs": 2}, "minirocket": {"features": 84}}
    content = {
        "cohorts": {"downstream": ["eegmat"]},
        "data": {"eegmat": {"origin": "simulated", "base_url": str(tree)}},
        "simulate": {"eegmat": {"subjects": 5, "rest_s": 25.0, "arithmetic_s": LAST_S, "seed": 3}},
        "clips": {"eegmat": {"last_s": LAST_S}},
        "pretrain": {"encoder": SIZES.model_dump(mode="json")},
        "encoders": {"eeg": SIZES.model_dump(mode="json"), "eeg_weights": {"origin": "none"}},
        "methods": list(methods),
        "method": {name: few[name] for name in methods if name in few},
        "evaluate": {"protocol": "crossval", "seeds": [0], "bootstrap": 100, "permutations": 100},
        "ablations": {"variants": []},
        "robustness": {"methods": []},
        "run": {"threads": 1},
    }
    params = check_params(content, "small study")
    imported(cohort("eegmat").simulator)(tree / "SHA256SUMS.txt", params.simulate["eegmat"])
    windows = store_tree(root / "made", "eegmat", params)
    (root / "windows").mkdir()
    windows.rename(root / "windows" / "eegmat")
    write_encoder(root / "ecg_encoder.safetensors")
    found = SmallStudy(root, tree, params)
    for name in methods:
        run_method(found.of(name), found.results / "predictions" / f"{name}.parquet")
    evaluate(found.results, study_of(params, "eegmat"))
    return found

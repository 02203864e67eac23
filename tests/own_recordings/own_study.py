"""A small encoder, and a simulated study with fitted models, made once; recordings in the formats that are read."""

import contextlib
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
from physiopipe.plan import simulated_file
from physiopipe.results.evaluate import evaluate
from physiopipe.results.study import study_of
from physiopipe.signals.leads import CLINICAL_LEADS
from physiopipe.windows.encoder_input import preparation_text

SIZES = Encoder(layers=1, width=40, feedforward=80, heads=4, position_kernel=(3, 3))
LAST_S = 20.0
METHOD = "handcrafted"


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
    cohort: str

    def of(self, method: str) -> Study:
        encoder = self.root / "ecg_encoder.safetensors"
        return Study(method, self.params, self.cohort, self.root / "windows", encoder, self.root / "state")

    @property
    def results(self) -> Path:
        return self.root / "results" / self.cohort

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


def make_small_study(root: Path, name: str = "eegmat") -> SmallStudy:
    """Simulate EEGMAT or a cohort of its files, prepare, cross-validate and evaluate below `root`."""
    content = {
        "cohorts": {"downstream": [name]},
        "data": {name: {"origin": "simulated"}},
        "simulate": {name: {"subjects": 5, "rest_s": 25.0, "arithmetic_s": LAST_S, "seed": 3}},
        "clips": {name: {"last_s": LAST_S if name == "eegmat" else None}},
        "pretrain": {"encoder": SIZES.model_dump(mode="json")},
        "encoders": {"eeg": SIZES.model_dump(mode="json"), "eeg_weights": {"origin": "none"}},
        "methods": [METHOD],
        "evaluate": {"protocol": "crossval", "seeds": [0], "bootstrap": 100, "permutations": 100},
        "ablations": {"variants": []},
        "robustness": {"methods": []},
        "run": {"threads": 1},
    }
    params = check_params(content, "small study")
    with contextlib.chdir(root):  # a simulated tree lies where the parameters say, below the study
        last = simulated_file(params, name)
        imported(cohort(name).simulator)(last, params.simulate[name])
        windows = store_tree(root / "made", name, params)
    tree = root / last.parent
    (root / "windows").mkdir()
    windows.rename(root / "windows" / name)
    write_encoder(root / "ecg_encoder.safetensors")
    found = SmallStudy(root, tree, params, name)
    run_method(found.of(METHOD), found.results / "predictions" / f"{METHOD}.parquet")
    evaluate(found.results, study_of(params, name))
    return found

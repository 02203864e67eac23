"""A cohort by declaration whose clips go through all that a clip rule may do: three tasks, limb leads, a limit."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from own_study import SIZES, write_encoder
from prepared import store_tree
from recordings_made import write_edf
from small_methods import SETTINGS

from physiopipe.experiments.cross_validation import Study, run_method
from physiopipe.methods.registry import METHODS, settings_class
from physiopipe.own_recordings.fit import fit_model
from physiopipe.params import Params, check_params
from physiopipe.results.evaluate import evaluate
from physiopipe.results.study import study_of

TASKS = ("load", "valence", "arousal")
EEG = ("Fp1", "Fp2", "C3", "C4", "O1", "O2")
RATE_HZ, LENGTH_S, LAST_S = 250, 24.0, 20.0
PEOPLE, CLIPS = 5, 2
_FASTER = {"lin_style": {"learning_rate": 0.05}}  # so that probabilities differ from clip to clip


@dataclass(frozen=True)
class LabStudy:
    """Its recordings and windows, made once; each method is cross-validated and fitted when first asked for."""

    root: Path
    recordings: Path
    params: Params

    def of(self, method: str) -> Study:
        params = self.params.with_section(methods=(method,))
        encoder = self.root / "ecg_encoder.safetensors"
        return Study(method, params, "lab", self.root / "windows", encoder, self.root / "state")

    def model(self, method: str) -> Path:
        folder, study = self.root / "models" / method, self.of(method)
        if not folder.exists():
            results = self.root / "results" / method
            run_method(study, results / "predictions" / f"{method}.parquet")
            evaluate(results, study_of(study.params, "lab"))
            fit_model(study, results, folder, seed=0)
        return folder


def _small(name: str) -> dict[str, Any]:
    """A method's settings in a size that tests can pay for."""
    known = {"hidden": 16, "features": 84, "epochs": 2, **SETTINGS.get(name, {}), **_FASTER.get(name, {})}
    return {key: value for key, value in known.items() if key in settings_class(name).model_fields}


def signals(labels: tuple[int, ...], seed: int) -> npt.NDArray[np.float64]:
    """Microvolt (6 EEG channels, I and II; time): alpha, heart rate and T wave follow the labels."""
    random = np.random.default_rng(seed)
    time = np.arange(round(LENGTH_S * RATE_HZ)) / RATE_HZ
    eeg = 6 * random.normal(size=(len(EEG), len(time))) + (12 + 10 * labels[0]) * np.sin(2 * np.pi * 10 * time)
    period_s = 0.9 - 0.2 * labels[1]
    phase_s = time % period_s
    beats = np.exp(-0.5 * ((phase_s - 0.3) / 0.012) ** 2)
    waves = (0.2 + 0.2 * labels[2]) * np.exp(-0.5 * ((phase_s - 0.55) / 0.04) ** 2)
    ecg = np.array([[700.0], [1200.0]]) * (beats + waves) + 15 * random.normal(size=(2, len(time)))
    ecg[0, 2000:2003] -= 3000  # a knock on one electrode: beyond the limit in I, and more so in III = II - I
    return np.concatenate([eeg, ecg])


def make_lab_study(root: Path) -> LabStudy:
    """Write the recordings and their table, and bring them to windows."""
    lines = [f"file,subject,{','.join(TASKS)}"]
    for person in range(PEOPLE):
        for clip in range(CLIPS):
            labels = ((clip + person) % 2, clip, (clip + person // 2) % 2)
            name = f"p{person}_{clip + 1}.edf"
            names = (*(f"EEG {each}" for each in EEG), "ECG I", "ECG II")
            write_edf(root / "recordings" / name, signals(labels, 10 * person + clip), RATE_HZ, names, "uV")
            lines.append(f"{name},p{person},{','.join(map(str, labels))}")
    (root / "recordings" / "labels.csv").write_text("\n".join(lines) + "\n")
    declared = {"tasks": TASKS, "eeg": EEG, "ecg": ["I", "II"], "eeg_rate_hz": RATE_HZ, "ecg_rate_hz": RATE_HZ}
    content: dict[str, Any] = {
        "cohorts": {"downstream": ["lab"], "own": {"lab": declared}},
        "data": {"lab": {"path": str(root / "recordings")}},
        "clips": {
            "lab": {
                "last_s": LAST_S,
                "ecg_leads": "limb",
                "artefacts": {"action": "clip", "ecg_limit": 0.9, "eeg_limit_uv": 25.0},
            }
        },
        "pretrain": {"encoder": SIZES.model_dump(mode="json")},
        "encoders": {"eeg": SIZES.model_dump(mode="json"), "eeg_weights": {"origin": "none"}},
        "methods": list(METHODS),
        "method": {name: _small(name) for name in METHODS},
        "evaluate": {"protocol": "crossval", "seeds": [0], "bootstrap": 100, "permutations": 100},
        "ablations": {"variants": []},
        "robustness": {"methods": []},
        "run": {"threads": 1, "device": "cpu"},
    }
    params = check_params(content, "lab study")
    (root / "windows").mkdir()
    store_tree(root / "made", "lab", params).rename(root / "windows" / "lab")
    write_encoder(root / "ecg_encoder.safetensors")
    return LabStudy(root, root / "recordings", params)

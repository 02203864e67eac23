"""Parameters that may each stand and contradict each other are refused by `inputs`, before anything runs."""

from pathlib import Path

import pytest
import yaml

from physiopipe.errors import PhysiopipeError
from physiopipe.params import load_params
from physiopipe.params.consistency import check_study
from physiopipe.params.presets import preset_names, preset_with
from physiopipe.params.writing import dump_params

PRESETS = Path(__file__).parents[1] / "presets"


def faults(folder: Path, preset: str, *assignments: str) -> str:
    path = folder / "params.yaml"
    path.write_text(dump_params(preset_with(PRESETS, preset, list(assignments))))
    with pytest.raises(PhysiopipeError) as caught:
        check_study(load_params(path), path)
    return str(caught.value)


@pytest.mark.parametrize("name", preset_names(PRESETS))
def test_presets_contradict_nothing(tmp_path: Path, name: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(dump_params(preset_with(PRESETS, name, [])))
    check_study(load_params(path), path)


@pytest.mark.parametrize(
    ("preset", "assignment", "said"),
    [
        ("demo", "filter.challenge.ecg.lowpass_hz=400", "filter.challenge.ecg.lowpass_hz is 400 Hz"),
        ("demo", "filter.dreamer.eeg.lowpass_hz=64", "dreamer is recorded at 128 Hz: expected less than 64 Hz"),
        ("demo", "resample.dreamer.eeg.rates_hz=[128]", "lacks 200"),
        ("demo", "resample.challenge.ecg.rates_hz=[100, 200, 250, 500, 1000]", "builds 250 Hz"),
        ("demo", "resample.challenge.ecg.rates_hz=[200]", "rate_weights draws 100, 500, 1000 Hz"),
        ("demo", "methods=[chance, chance]", "methods names chance twice"),
        ("demo", "evaluate.seeds=[1, 1]", "evaluate.seeds names 1 twice"),
        ("demo", "clips.dreamer.baseline=zscore_by_person", "set data.dreamer.read_baseline to true"),
        ("open", "clips.eegmat.baseline=subtract_features", "eegmat has no recordings of a baseline: expected none"),
        ("open", "clips.eegmat.ecg_leads=limb", "clips.eegmat.ecg_leads is limb, which needs two of I, II and III"),
        ("demo", "pretrain.normalisation=millivolt", "the unit of dreamer's ECG is not known: z-score it"),
        ("demo", "clips.dreamer.last_s=90", "no clip is longer than 80 s"),
        ("demo", "clips.dreamer.last_s=5", "shorter than one window of 10 s"),
        ("demo", "clips.dreamer.last_s=30", "simulate.dreamer.change_s is 60 s, and clips.dreamer.last_s is 30 s"),
        ("tiny", "simulate.dreamer.change_s=60", "simulate.dreamer.change_s is 60 s, and clips.dreamer.last_s is 20 s"),
        ("demo", "robustness.dropped_eeg_channels=[14]", "dreamer has 14 EEG channels"),
        ("demo", "pretrain.final_learning_rate=0.5", "final_learning_rate is above"),
    ],
)
def test_a_contradiction_is_named(tmp_path: Path, preset: str, assignment: str, said: str) -> None:
    assert said in faults(tmp_path, preset, assignment)


@pytest.mark.parametrize(
    "assignments",
    [
        ("clips.dreamer.last_s=30", "simulate.dreamer.change_s=30"),
        ("clips.dreamer.last_s=30", "simulate.dreamer.hidden_share=0"),  # nothing changes within a clip
        ("clips.dreamer.last_s=null",),  # all of a clip is used, and the change lies within it
        ("clips.dreamer.last_s=30", "data.dreamer.origin=file"),
    ],
)
def test_a_hidden_change_may_be_of_another_length_where_that_shows_nothing(
    tmp_path: Path, assignments: tuple[str, ...]
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(dump_params(preset_with(PRESETS, "demo", list(assignments))))
    check_study(load_params(path), path)


def test_a_baseline_is_for_frozen_encoders(tmp_path: Path) -> None:
    asked = ("data.dreamer.read_baseline=true", "clips.dreamer.baseline=subtract_features", "method.ours.frozen=false")
    assert "expected method.ours.frozen: true, or no ours among the methods" in faults(tmp_path, "demo", *asked)


def test_a_line_that_was_deleted_is_named_with_its_default(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    content = yaml.safe_load(dump_params(preset_with(PRESETS, "demo", [])))
    del content["pretrain"]["seed"], content["method"]["ours"]["hidden"]
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(PhysiopipeError) as caught:
        check_study(load_params(path), path)
    assert "pretrain.seed is missing: add it (its default is 42)" in str(caught.value)
    assert "method.ours.hidden is missing" in str(caught.value)


def test_ablations_may_be_switched_off(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(dump_params(preset_with(PRESETS, "demo", ["ablations.variants=[]"])))
    check_study(load_params(path), path)

"""What every kind of method learns of every kind of cohort says the same of a recording as of its stored windows."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lab_study import CLIPS, EEG, PEOPLE, RATE_HZ, TASKS, LabStudy, signals
from own_study import METHOD, make_small_study
from recordings_made import write_edf
from small_methods import every_method

from physiopipe.clips.clip_data import NUMBERS_OF_RECORDING
from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.cross_validation import CrossValidation
from physiopipe.methods.registry import METHODS, method_class, missing_extras
from physiopipe.own_recordings.fitted import load_model
from physiopipe.own_recordings.predict import predict_recordings

QUICK = "handcrafted"
# One of each kind: features without a network, one modality, encoders and a head, a network from the start, a language
# model; the others are alike
SLOW = ("ecg_only", "eeg_only", "ours", "minirocket", "one_fits_all", "chance", "transductive")


@pytest.mark.parametrize(
    "name", every_method(slow=SLOW, exhaustive=[name for name in METHODS if name not in (QUICK, *SLOW)])
)
def test_recordings_get_what_their_stored_windows_get(lab: LabStudy, tmp_path: Path, name: str) -> None:
    """Three tasks, ECG as limb leads, samples held at a limit; the oracle reads windows as cross-validation does."""
    if (missing := missing_extras(name)) is not None:
        pytest.skip(missing)
    study, kind = lab.of(name), method_class(name)
    if not kind.inputs or "alone" in kind.exempt:
        with pytest.raises(PhysiopipeError, match="Fit another method"):
            lab.model(name)
        return
    clips = CrossValidation(study).clips
    model = load_model(lab.model(name), tmp_path / "state")
    expected = model.predict(clips)
    predict_recordings(lab.recordings, lab.model(name), tmp_path / "p.csv")
    found = pd.read_csv(tmp_path / "p.csv", keep_default_na=False)
    wide = found.pivot(index="record", columns="task", values="probability")[list(TASKS)]
    assert len(wide) == PEOPLE * CLIPS
    rows = [f"{subject}_{clip}" for subject, clip in zip(clips.subjects, clips.clips, strict=True)]
    np.testing.assert_allclose(wide.loc[rows].to_numpy(), expected, atol=2e-6)
    assert np.ptp(expected, axis=0).max() > 1e-4, "equal numbers for all would agree with anything"
    assert not any("Hz" in text or "without" in text for text in found["warnings"])


@pytest.mark.slow
def test_where_windows_are_scored_each_window_has_a_row(tmp_path: Path) -> None:
    """The published cohort of EEG alone. Its windows of a file's padding are of nobody: recordings end before it."""
    study = make_small_study(tmp_path, "eegmat_published")
    model = load_model(study.model(METHOD), tmp_path / "scratch")
    clips = CrossValidation(study.of(METHOD)).clips
    recording, window = np.divmod(clips.clips, NUMBERS_OF_RECORDING)
    expected = dict(zip(zip(clips.subjects, recording, window, strict=True), model.predict(clips)[:, 0], strict=True))
    predict_recordings(study.tree, study.model(METHOD), tmp_path / "p.csv")
    found = pd.read_csv(tmp_path / "p.csv", keep_default_na=False)
    assert found.groupby("record").size().sum() == 5 * (25 // 5 + 20 // 5)
    for row in found.itertuples():
        subject, number = row.record.removeprefix("Subject").split("_")
        ends = row.end_s > {1: 25, 2: 20}[int(number)] - 0.1  # resampling looks at what lies around: there, at padding
        stored = expected.pop((f"s{subject}", int(number), row.clip))
        assert row.probability == pytest.approx(stored, abs=2e-3 if ends else 2e-5)
        assert row.start_s == pytest.approx(5 * (row.clip - 1))
    assert len(set(found["probability"])) > 30
    padding = {window for *_, window in expected}
    assert min(padding, default=99) > 20 // 5


def test_recordings_with_less_than_the_model_was_given(lab: LabStudy, tmp_path: Path) -> None:
    """Channels that are gone and another rate are told, a recording without any ECG is refused; a model that reads
    the EEG alone needs none.
    """
    signal, names = signals((1, 0, 1), 3), (*(f"EEG {each}" for each in EEG), "ECG I", "ECG II")
    folder = tmp_path / "own"
    write_edf(folder / "all.edf", signal, RATE_HZ, names, "uV")
    write_edf(folder / "lead_ii.edf", np.delete(signal, -2, axis=0), RATE_HZ, (*names[:-2], "ECG II"), "uV")
    write_edf(folder / "flat_ecg.edf", np.vstack([signal[:-2], 0 * signal[-2:]]), RATE_HZ, names, "uV")
    write_edf(folder / "no_ecg.edf", signal[:-2], RATE_HZ, names[:-2], "uV")
    write_edf(folder / "no_o2.edf", np.delete(signal, 5, axis=0), RATE_HZ, (*names[:5], *names[6:]), "uV")
    write_edf(folder / "half.edf", signal[:, ::2], RATE_HZ // 2, names, "uV")
    write_edf(folder / "iii.edf", np.vstack([signal, signal[-1:] - signal[-2:-1]]), RATE_HZ, (*names, "ECG III"), "uV")
    write_edf(folder / "unnamed.edf", signal, RATE_HZ, (*names[:-2], "A", "B"), "uV")
    done = predict_recordings(folder, lab.model(QUICK), tmp_path / "p.csv")
    found = pd.read_csv(tmp_path / "p.csv", keep_default_na=False)
    found = found[found["task"] == TASKS[0]].set_index("record")
    assert {name for name, *_ in done.refused.rows} == {"no_ecg", "unnamed"}
    assert all("--channel" in reason for *_, reason in done.refused.rows)
    assert not any(word in found.loc[each, "warnings"] for word in ("without", "Hz") for each in ("all", "iii"))
    assert found.loc["iii", "probability"] == found.loc["all", "probability"]
    assert "ECG without I, III, aVR, aVL, aVF (missing, flat" in found.loc["lead_ii", "warnings"]
    assert "no ECG (missing, flat or without heartbeats)" in found.loc["flat_ecg", "warnings"]
    assert "EEG without O2" in found.loc["no_o2", "warnings"]
    assert all(
        f"{each} recorded at 125 Hz, trained on 250 Hz" in found.loc["half", "warnings"] for each in ("EEG", "ECG")
    )
    named = {"I": "A", "II": "B"}
    predict_recordings(folder / "unnamed.edf", lab.model(QUICK), tmp_path / "q.csv", named=named)
    again = pd.read_csv(tmp_path / "q.csv", keep_default_na=False)
    assert again["probability"][0] == found.loc["all", "probability"]


def test_an_ecg_in_a_file_of_its_own_is_read_with_the_eeg(lab: LabStudy, tmp_path: Path) -> None:
    signal, names = signals((1, 0, 1), 3), (*(f"EEG {each}" for each in EEG), "ECG I", "ECG II")
    folder = tmp_path / "own"
    write_edf(folder / "one_eeg.edf", signal, RATE_HZ, names, "uV")
    for name, end in (("two", None), ("short", 22 * RATE_HZ), ("late", None)):
        write_edf(folder / f"{name}_eeg.edf", signal[:-2], RATE_HZ, names[:-2], "uV")
        write_edf(folder / f"{name}_ecg.edf", signal[-2:, :end], RATE_HZ, names[-2:], "uV")
    late = (folder / "late_ecg.edf").read_bytes()
    (folder / "late_ecg.edf").write_bytes(late[:176] + b"10.00.01" + late[184:])
    write_edf(folder / "cut.edf", signal[:, : 22 * RATE_HZ], RATE_HZ, names, "uV")
    for name, end_s in (("fell_off", 16), ("flat", 0)):  # the ECG's electrode: the EEG goes on
        still = np.vstack([signal[:-2], np.where(np.arange(signal.shape[1]) < end_s * RATE_HZ, signal[-2:], 0)])
        write_edf(folder / f"{name}.edf", still, RATE_HZ, names, "uV")
        write_edf(folder / f"{name}_eeg.edf", still[:-2], RATE_HZ, names[:-2], "uV")
        write_edf(folder / f"{name}_ecg.edf", still[-2:], RATE_HZ, names[-2:], "uV")
    done = predict_recordings(folder, lab.model(QUICK), tmp_path / "p.csv")
    [(name, _, reason)] = done.refused.rows
    assert (name, "expected files that begin together" in reason) == ("late_eeg", True)
    found = pd.read_csv(tmp_path / "p.csv", keep_default_na=False)
    found = found[found["task"] == TASKS[0]].set_index("record")
    still_ones = {"fell_off", "fell_off_eeg", "flat", "flat_eeg"}
    assert set(found.index) == {"one_eeg", "two_eeg", "short_eeg", "cut"} | still_ones
    for name in ("fell_off", "flat"):
        told = ["probability", "end_s", "windows", "flags", "warnings"]
        assert found.loc[f"{name}_eeg", told].tolist() == found.loc[name, told].tolist()
    assert found.loc["two_eeg", "probability"] == found.loc["one_eeg", "probability"]
    assert found.loc["short_eeg", "probability"] == pytest.approx(
        found.loc["cut", "probability"], abs=1e-4
    )  # rounded anew
    assert "EEG of 24.0 s and ECG of 22.0 s: the first 22.0 s are used" in found.loc["short_eeg", "warnings"]
    predict_recordings(folder / "two_eeg.edf", lab.model(QUICK), tmp_path / "q.csv")  # the ECG lies beside it
    assert pd.read_csv(tmp_path / "q.csv")["probability"][0] == found.loc["two_eeg", "probability"]


@pytest.mark.slow
def test_a_model_that_reads_the_eeg_alone_needs_no_ecg(lab: LabStudy, tmp_path: Path) -> None:
    names = (*(f"EEG {each}" for each in EEG), "ECG I", "ECG II")
    signal = signals((1, 0, 1), 3)
    write_edf(tmp_path / "own" / "alone.edf", signal[:-2], RATE_HZ, names[:-2], "uV")
    write_edf(tmp_path / "own" / "both.edf", signal, RATE_HZ, names, "uV")
    assert {path.name for path in lab.model("eeg_only").iterdir()} == {"README.md", "model.json", "model.safetensors"}
    assert "ecg_encoder.safetensors" in {path.name for path in lab.model("ours").iterdir()}
    predict_recordings(tmp_path / "own", lab.model("eeg_only"), tmp_path / "p.csv")
    found = pd.read_csv(tmp_path / "p.csv", keep_default_na=False).pivot(
        index="task", columns="record", values="probability"
    )
    np.testing.assert_allclose(found["alone"], found["both"], atol=2e-6)


def test_any_flipped_bit_of_a_model_is_told(lab: LabStudy, tmp_path: Path) -> None:
    """A bit in each of twenty places of every file that is read; the card is for people."""
    folder = tmp_path / "model"
    shutil.copytree(lab.model(QUICK), folder)
    load_model(folder, tmp_path / "state")
    random = np.random.default_rng(0)
    for name in ("model.json", "model.safetensors"):
        whole = (folder / name).read_bytes()
        for place in np.linspace(0, len(whole) - 1, 20).astype(int):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << int(random.integers(8))
            (folder / name).write_bytes(flipped)
            with pytest.raises(PhysiopipeError):
                load_model(folder, tmp_path / "state")
        (folder / name).write_bytes(whole)

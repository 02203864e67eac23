"""A fitted model says of its own people what the method says of their stored windows, and tells what is unlike them."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from own_study import LAST_S, METHOD, SmallStudy, samples_root
from recordings_made import write_edf, write_wfdb
from typer.testing import CliRunner

from physiopipe.cli import app
from physiopipe.clips.selection import load_clips
from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.fold_run import best_threshold
from physiopipe.experiments.predictions import read_predictions
from physiopipe.files import read_json, write_json
from physiopipe.own_recordings.fit import fit_model
from physiopipe.own_recordings.fitted import load_model
from physiopipe.own_recordings.predict import predict_recordings
from physiopipe.recordings.edf import read_edf_header, read_edf_samples


def predictions(place: Path, model: Path, out: Path, **changes: object) -> pd.DataFrame:
    predict_recordings(place, model, out, **changes)  # type: ignore[arg-type]
    return pd.read_csv(out, keep_default_na=False)


def test_its_own_people_get_the_methods_own_probabilities(
    small_study: SmallStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The oracle: the pipeline's stored windows through the five fits; `predict` begins at the EDF files."""
    method = METHOD
    folder = small_study.model(method)
    study = small_study.of(method)
    clips = load_clips(small_study.root / "windows" / "eegmat", study.rule.last_s, study.high_from)
    expected = load_model(folder, tmp_path / "state").predict(clips)[:, 0]
    found = predictions(small_study.tree, folder, tmp_path / "p.csv")
    people = "s" + found["record"].str.extract(r"Subject(\d\d)_")[0]
    by_clip = dict(
        zip(zip(people, found["record"].str[-1].astype(int), strict=True), found["probability"], strict=True)
    )
    assert len(found) == len(clips) == 10
    own = [by_clip[key] for key in zip(clips.subjects, clips.clips.tolist(), strict=True)]
    np.testing.assert_allclose(own, expected, atol=1e-6)
    assert len(set(own)) > 5
    about = read_json(folder / "model.json")
    threshold = about["thresholds"]["arithmetic"]
    assert (found["high"] == (found["probability"] >= threshold)).all()
    # thresholds are of people that the inner fits had not met: this study's own folds, since it has one seed
    inner, _ = read_predictions(small_study.results / "predictions" / f"{method}.parquet")
    assert threshold == best_threshold(inner["truth"].to_numpy(np.int8), inner["probability"].to_numpy())
    # simulated data is told wherever the numbers are
    said = capsys.readouterr().out
    assert "SIMULATED data: no recorded person" in said
    assert set(found["trained_on"]) == {"SIMULATED EEGMAT"}
    summary = read_json(tmp_path / "p.json")
    assert summary["simulated"].startswith("SIMULATED")
    assert "SIMULATED" in (folder / "README.md").read_text()
    auc = read_json(small_study.results / "metrics.json")[method]["arithmetic"]["auc"]
    assert f"arithmetic AUC {100 * auc:.1f} %" in said
    assert summary["model"]["cross_validated"]["metrics"]["arithmetic"]["auc"] == auc
    assert f"| arithmetic | AUC, all clips pooled | {100 * auc:.1f} % |" in (folder / "README.md").read_text()


def test_what_is_unlike_the_training_data_is_told(small_study: SmallStudy, tmp_path: Path) -> None:
    source = small_study.tree / "Subject00_2.edf"
    labels = read_edf_header(source).labels
    signal = read_edf_samples(source, labels).signal.astype(np.float64)
    eeg = [label for label in labels if label.startswith("EEG") and "A2-A1" not in label]
    signal[[labels.index(label) for label in labels if label.startswith("ECG")]] *= 1000  # mV to µV
    rows = [labels.index(label) for label in (*eeg, "ECG ECG")]
    folder = tmp_path / "own"
    write_edf(folder / "same.edf", signal[rows], 500, (*eeg, "ECG ECG"), "uV")
    large = signal[rows].copy()
    large[:-1] *= 100
    write_edf(folder / "large.edf", large, 500, (*eeg, "ECG ECG"), "uV")
    write_edf(folder / "fewer.edf", signal[rows[3:]], 500, (*eeg[3:], "ECG ECG"), "uV")
    write_edf(folder / "slower.edf", signal[rows][:, ::2], 250, (*eeg, "ECG ECG"), "uV")
    renamed = [name.replace("EEG ", "") + "-REF" for name in eeg]
    write_edf(folder / "renamed.edf", signal[rows], 500, (*renamed, "EKG"), "uV")
    write_wfdb(folder, "no_eeg", signal[rows[-1:]] / 1000, 500, ("II",))
    found = predictions(folder, small_study.model("handcrafted"), tmp_path / "p.csv").set_index("record")
    assert set(found.index) == {"same", "large", "fewer", "slower", "renamed"}
    assert found.loc["same", "warnings"] == found.loc["renamed", "warnings"] == ""
    assert found.loc["same", "probability"] == pytest.approx(found.loc["renamed", "probability"], abs=1e-6)
    assert "EEG amplitude" in found.loc["large", "warnings"]
    assert "uV, trained on" in found.loc["large", "warnings"]
    assert "EEG without Fp1, Fp2, F3 (missing or flat)" in found.loc["fewer", "warnings"]
    assert "EEG recorded at 250 Hz, trained on 500 Hz" in found.loc["slower", "warnings"]
    refused = (tmp_path / "p.refused.csv").read_text()
    assert "none of the model's EEG channels" in refused


def test_consecutive_clips_lie_back_from_the_end(small_study: SmallStudy, tmp_path: Path) -> None:
    rest = small_study.tree / "Subject01_1.edf"  # 25 s and some padding: two windows of 10 s, a clip of 20 s
    signal = read_edf_samples(rest, read_edf_header(rest).labels).signal.astype(np.float64)
    labels = read_edf_header(rest).labels
    one = np.where([label.startswith("ECG") for label in labels], 1000, 1)[:, None] * signal[:, :10_000]
    long = write_edf(tmp_path / "long.edf", np.tile(one, 3), 500, labels, "uV")
    model = small_study.model("handcrafted")
    found = predictions(long, model, tmp_path / "p.csv", clips="consecutive")
    assert found["clip"].tolist() == [1, 2, 3]
    np.testing.assert_allclose(found["end_s"] - found["start_s"], LAST_S, atol=0.011)
    last = predictions(long, model, tmp_path / "q.csv")
    assert last["probability"].tolist() == [found["probability"].iloc[-1]]
    assert last["start_s"].tolist() == [found["start_s"].iloc[-1]]


def test_a_folder_that_was_changed_is_refused(small_study: SmallStudy, tmp_path: Path) -> None:
    model = small_study.model("handcrafted")
    text = (model / "model.json").read_text()
    assert str(small_study.root) not in text  # no folder of the machine that fitted it

    def changed(name: str, content: bytes) -> Path:
        folder = tmp_path / f"changed-{name}"
        shutil.copytree(model, folder)
        (folder / name).write_bytes(content)
        return folder

    other = json.loads(text) | {"title": "Another"}
    cases = {
        changed("model.json", json.dumps(other).encode()): "was changed after it was written",
        changed("model.safetensors", b"\0" * 100): "is missing or damaged",
        tmp_path / "nothing": "is no fitted model",
    }
    for folder, words in cases.items():
        with pytest.raises(PhysiopipeError, match=words):
            load_model(folder, tmp_path / "state")


def test_numbers_of_another_state_are_not_put_on_the_card(small_study: SmallStudy, tmp_path: Path) -> None:
    study = small_study.of("handcrafted")
    method = study.params.method.model_copy(
        update={"handcrafted": study.params.method["handcrafted"].model_copy(update={"inverse_regularisation": 7.0})}
    )
    other = dataclasses.replace(study, params=study.params.with_section(method=method))
    with pytest.raises(PhysiopipeError, match=r"was made with another state of: fingerprint.*`dvc repro`"):
        fit_model(other, small_study.results, tmp_path / "model", seed=0)
    with pytest.raises(PhysiopipeError, match="has no results of 'handcrafted'"):
        fit_model(study, tmp_path / "results", tmp_path / "model", seed=0)
    with pytest.raises(PhysiopipeError, match="the clip's number is the label"):
        fit_model(small_study.of("clip_prior"), small_study.results, tmp_path / "model", seed=0)
    crossed = study.params.evaluate.model_copy(update={"seeds": (5,)})
    again = dataclasses.replace(study, params=study.params.with_section(evaluate=crossed))
    with pytest.raises(PhysiopipeError, match=r"seed is .*, params.yaml says 5"):
        fit_model(again, small_study.results, tmp_path / "model", seed=0)
    shutil.copytree(small_study.results, tmp_path / "stale")
    metrics = read_json(tmp_path / "stale" / "metrics.json")
    metrics["handcrafted"]["arithmetic"]["auc"] += 0.01
    write_json(tmp_path / "stale" / "metrics.json", metrics)
    with pytest.raises(PhysiopipeError, match="is of other predictions"):
        fit_model(study, tmp_path / "stale", tmp_path / "model", seed=0)
    with pytest.raises(PhysiopipeError, match=r"transductive on eegmat: .* A recording of one's own is predicted by"):
        fit_model(small_study.of("transductive"), small_study.results, tmp_path / "model", seed=0)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "thesis.tex").write_text("mine")
    with pytest.raises(PhysiopipeError, match="is no fitted model: it is not replaced"):
        fit_model(study, small_study.results, tmp_path / "kept", seed=0)
    assert (tmp_path / "kept" / "thesis.tex").exists()
    assert not (tmp_path / "model").exists()


def test_the_verb_ends_with_how_many(small_study: SmallStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    shutil.copy(small_study.tree / "Subject00_2.edf", tmp_path / "own")
    (tmp_path / "own" / "broken.edf").write_text("0")
    model = str(small_study.model("handcrafted"))
    done = CliRunner().invoke(app, ["predict", "own", "--model", model])
    assert done.exit_code == 3, done.output
    last = done.output.strip().splitlines()[-1]
    assert last == "1 of 2 recordings predicted: predictions.csv; 1 refused (why: predictions.refused.csv)"
    (tmp_path / "own" / "broken.edf").unlink()
    assert CliRunner().invoke(app, ["predict", "own", "--model", model]).exit_code == 0
    found = CliRunner().invoke(app, ["predict", "own", "--model", model, "--channel", "ECG"])
    assert isinstance(found.exception, PhysiopipeError)
    assert "expected WANTED=NAME" in str(found.exception)
    found = CliRunner().invoke(app, ["predict", "own", "--model", model, "--channel", "fp1=EEG Fp1"])
    assert "the model has no channel 'fp1'" in str(found.exception)


@pytest.mark.sample
def test_real_people_through_a_simulated_model(small_study: SmallStudy, tmp_path: Path) -> None:
    """The real EEGMAT files, EEG and ECG in one EDF; the model is of nobody, and says so."""
    path = samples_root() / "eegmat" / "1.0.0" / "Subject03_2.edf"
    found = predictions(path, small_study.model("handcrafted"), tmp_path / "p.csv")
    assert found["windows"].tolist() == [2]
    assert np.isfinite(found["probability"]).all()
    assert set(found["trained_on"]) == {"SIMULATED EEGMAT"}

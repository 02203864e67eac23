"""EEGMAT as CBraMod's authors prepared and split it: what is stored, what is a clip, which side, which rows."""

from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
import scipy.signal
from prepared import store_tree

from physiopipe.clips.selection import gather_clips
from physiopipe.cohorts.eegmat import EEG_CHANNELS, SimulateEegmat
from physiopipe.cohorts.eegmat_published import COHORT, EegmatPublishedData
from physiopipe.cohorts.eegmat_simulation import simulate_eegmat
from physiopipe.cohorts.eegmat_tree import LABELS, read_whole_recording
from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.cross_validation import Study, run_method
from physiopipe.experiments.predictions import read_predictions
from physiopipe.methods.registry import METHODS
from physiopipe.params import Filter, Params, check_params
from physiopipe.plan import cohort_of_tree
from physiopipe.recordings.edf import read_edf_samples
from physiopipe.recordings.recording import in_batches
from physiopipe.signals.resampling import resample
from physiopipe.windows.prepare import filter_batch, read_batch
from physiopipe.windows.store import WindowStore

NAME = COHORT.name
WITH_MEANING = {
    "always_high", "chance", "handcrafted", "nearest_neighbours", "eeg_only", "lin_style", "mlf_capsnet",
    "eeg_conformer",
}  # fmt: skip


def parameters(root: Path | str = "unused", **evaluate: object) -> Params:
    """A small study of this cohort alone, simulated."""
    content = {
        "cohorts": {"downstream": [NAME]},
        "data": {NAME: {"base_url": str(root), "origin": "simulated"}},
        "encoders": {"eeg": {"layers": 1, "feedforward": 200}, "eeg_weights": {"origin": "none"}},
        "methods": sorted(WITH_MEANING),
        "method": {
            "mlf_capsnet": {"filters": 8, "epochs": 1, "epoch_segments": 40},
            "eeg_conformer": {"blocks": 1, "epochs": 1}, "lin_style": {"width": 8, "epochs": 1},
            "eeg_only": {"epochs": 1},
        },
        "robustness": {"methods": []},
        "evaluate": {"protocol": "crossval", "seeds": [0]} | evaluate,
        "run": {"threads": 1},
    }  # fmt: skip
    return check_params(content, "test")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("published") / "tree"
    simulate_eegmat(root / "SHA256SUMS.txt", SimulateEegmat(subjects=5, rest_s=14, arithmetic_s=12.4, seed=3))
    return root


@pytest.fixture(scope="module")
def windows(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_tree(tmp_path_factory.mktemp("published"), NAME, parameters(tree))


def study(windows: Path, state: Path, method: str = "chance", params: Params | None = None) -> Study:
    (state / NAME).unlink(missing_ok=True)
    state.mkdir(exist_ok=True)
    (state / NAME).symlink_to(windows)
    return Study(method, params or parameters(), NAME, state, None, state / "kept")


def test_stored_windows_are_the_file_resampled_and_nothing_else(tree: Path, windows: Path) -> None:
    """Rest of 14 s and arithmetic of 12.4 s end in 2 s of padding: three windows of 5 s each, 1 and 0 s left out."""
    store = WindowStore(windows)
    assert store.index.groupby(["subject", "clip"], observed=True).size().tolist() == [3] * 10
    counts, scale, valid = store.gather(np.arange(len(store.index)))
    assert counts.shape == (30, 20, 5, 200)
    assert (valid == 5).all()
    assert store.attributes("eeg", 200)["channels"] == [*EEG_CHANNELS, "A2-A1"]
    for record, rows in store.index.reset_index(drop=True).groupby("record", observed=True):
        subject, clip, _ = str(record).split("_")
        path = tree / f"Subject{subject[1:]}_{int(clip[1:])}.edf"
        whole = read_edf_samples(path, LABELS).signal[:20].astype(np.float32)
        expected = resample(whole, 500, 200)[:, :3000].reshape(20, 3, 5, 200).swapaxes(0, 1)
        found = counts[rows.index].astype(np.float64) * scale[rows.index, None, None, None]
        assert (np.abs(found - expected) <= 0.51 * scale[rows.index, None, None, None]).all()
        np.testing.assert_allclose(rows["start_s"], [0, 5, 10])
        assert set(rows["arithmetic"]) == {float(clip == "c02")}
    raw = mne.io.read_raw_edf(tree / "Subject02_1.edf", preload=True, verbose="error").get_data()[:20] * 1e6
    by_scipy = scipy.signal.resample_poly(raw, 2, 5, axis=1, padtype="line")[:, 20:2980]
    rows = np.flatnonzero(store.index["record"] == "s02_c01_eeg")
    ours = (counts[rows] * scale[rows, None, None, None]).swapaxes(0, 1).reshape(20, 3000)[:, 20:2980]
    assert np.abs(ours - by_scipy).max() < 0.02 * np.abs(by_scipy).max()


def test_the_padding_is_left_in(tree: Path) -> None:
    data = EegmatPublishedData(origin="simulated")
    whole = read_whole_recording(tree / "Subject01_2.edf", "eegmat", "eeg", data)
    assert whole.signal.shape == (20, 15 * 500)  # 12.4 s recorded, filled up to a whole second and 2 s
    assert np.ptp(whole.signal[:, -200:], axis=1).max() == 0


def test_each_window_is_a_clip_and_there_is_no_ecg(windows: Path, tmp_path: Path) -> None:
    store = WindowStore(windows)
    choice = study(windows, tmp_path).choose(store)
    clips = gather_clips(store, choice)
    assert clips.subjects.tolist() == [f"s{i:02d}" for i in range(5) for _ in range(6)]
    assert clips.clips.tolist() == [1001, 1002, 1003, 2001, 2002, 2003] * 5
    assert clips.labels[:, 0].tolist() == [0, 0, 0, 1, 1, 1] * 5
    assert clips.clip_of.tolist() == list(range(30))
    assert (clips.eeg.shape, clips.ecg.shape) == ((30, 20, 5, 200), (30, 0, 5, 200))
    assert (clips.ecg_channels, clips.ecg_present.shape) == ((), (30, 0))
    starts = store.index["start_s"].to_numpy()[choice.pairs["eeg"]]
    assert starts.tolist() == [0.0, 5.0, 10.0] * 10


def test_the_split_is_by_the_order_of_the_files(tmp_path: Path) -> None:
    """Of the 72 files in order the first 56 train, the next 8 validate, the last 8 test, whatever the seed."""
    files = [f"Subject{number:02d}_{clip}.edf" for number in range(36) for clip in (1, 2)]
    one = study(tmp_path, tmp_path / "state", params=parameters(protocol="published"))
    subjects = [f"s{number:02d}" for number in range(36)]
    for seed in (0, 7):
        [fold] = one.split(subjects[::-1], seed)
        by_side = {
            side: [name for name in files if f"s{name[7:9]}" in getattr(fold, side)]
            for side in ("train", "validation", "test")
        }
        assert by_side == {"train": files[:56], "validation": files[56:64], "test": files[64:]}
    with pytest.raises(PhysiopipeError, match=r"of 36 subjects \(28 / 4 / 4\), found 35: bring the others"):
        one.split(subjects[:-1], 0)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_rows_that_need_an_ecg_are_left_out_by_a_declared_reason(method: str, tmp_path: Path) -> None:
    reason = study(tmp_path, tmp_path / "state", method).without_meaning
    assert (reason == "") == (method in WITH_MEANING)
    if method == "clip_prior":
        assert reason == "the number of a recording is the label"
    elif reason:
        assert reason == "it reads ECG, of which this cohort has none"


def test_a_row_on_its_eeg_alone_predicts_windows(windows: Path, tmp_path: Path) -> None:
    for name in ("handcrafted", "ours"):
        run_method(study(windows, tmp_path, name), tmp_path / f"{name}.parquet")
    frame, about = read_predictions(tmp_path / "handcrafted.parquet")
    assert sorted(frame["clip"].unique()) == [1001, 1002, 1003, 2001, 2002, 2003]
    assert len(frame) == 30
    assert frame["probability"].nunique() == 30
    assert (about["inputs"], about["reads"]) == (
        ["eeg"], "Reads EEG (band power in µV²) alone: the cohort has no ECG."
    )  # fmt: skip
    frame, about = read_predictions(tmp_path / "ours.parquet")
    assert (len(frame), about["without_meaning"]) == (0, "it reads ECG, of which this cohort has none")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["eeg_only", "lin_style", "mlf_capsnet", "eeg_conformer", "nearest_neighbours"])
def test_rows_of_eeg_take_windows_of_5_s(method: str, windows: Path, tmp_path: Path) -> None:
    run_method(study(windows, tmp_path, method), tmp_path / "rows.parquet")
    frame, _ = read_predictions(tmp_path / "rows.parquet")
    assert len(frame) == 30
    assert frame["probability"].between(0, 1).all()


def test_a_filter_is_off_as_a_whole_or_not_at_all() -> None:
    assert Filter(highpass_hz=None, lowpass_hz=None, notch_hz={}).corners_hz is None
    for corners, notch in (((0.5, None), {}), ((None, 45.0), {}), ((None, None), {"default": 50.0})):
        with pytest.raises(ValueError, match="no filter at all is highpass_hz: null"):
            Filter(highpass_hz=corners[0], lowpass_hz=corners[1], notch_hz=notch)


def test_without_a_filter_long_and_short_recordings_go_on_as_they_are(tree: Path, tmp_path: Path) -> None:
    read = read_whole_recording(tree / "Subject00_1.edf", "eegmat", "eeg", EegmatPublishedData(origin="simulated"))
    times = -(-(1 << 17) // read.signal.shape[1]) + 1
    long = np.tile(read.signal[:2], times)
    for signal in (read.signal[:2], long):
        recording = type(read)(**{**vars(read), "signal": signal, "channels": ("Fp1", "Fp2")})
        filter_batch(in_batches([recording]), tmp_path / "out", Filter(highpass_hz=None, lowpass_hz=None, notch_hz={}))
        own = [
            item.signal[0, :, item.before : item.signal.shape[2] - item.after]
            for item in read_batch(tmp_path / "out")
        ]  # fmt: skip
        np.testing.assert_array_equal(np.concatenate(own, axis=1), signal)


def test_a_published_split_is_asked_only_of_a_cohort_that_has_one(tmp_path: Path) -> None:
    from physiopipe.params.consistency import check_study
    from physiopipe.params.writing import dump_params

    other = check_params(
        {"cohorts": {"downstream": ["eegmat"]}, "evaluate": {"protocol": "published"}, "methods": ["chance"]}, "test"
    )
    for params, refused in ((parameters(protocol="published"), False), (other, True)):
        path = tmp_path / "params.yaml"
        path.write_text(dump_params(params))
        if refused:
            with pytest.raises(PhysiopipeError, match="published, and nobody published a split of eegmat: expected"):
                check_study(params, path)
        else:
            check_study(params, path)


def test_the_tree_is_downloaded_for_the_cohort_that_the_study_has() -> None:
    folder = "eegmat-1.0.0"
    assert cohort_of_tree(parameters(), folder) == NAME
    both = check_params({"cohorts": {"downstream": ["eegmat", NAME]}, "methods": ["chance"]}, "test")
    assert cohort_of_tree(both, folder) == "eegmat"


@pytest.mark.sample
def test_the_real_recordings_have_as_many_windows_as_their_files_have_seconds(real_eegmat: Path) -> None:
    data = EegmatPublishedData(allow_missing=True)
    for name, windows in (("Subject00_1", 36), ("Subject04_1", 34), ("Subject10_1", 37), ("Subject00_2", 12)):
        signal = read_whole_recording(real_eegmat / f"{name}.edf", "eegmat", "eeg", data).signal
        assert signal.shape[1] * 200 // 500 // 1000 == windows
        assert np.ptp(signal[:, -100:], axis=1).max() == 0  # padded


def test_windows_of_one_recording_are_numbered_in_order_of_time(windows: Path, tmp_path: Path) -> None:
    index = WindowStore(windows).index
    pairs = study(windows, tmp_path).choose(WindowStore(windows)).pairs
    rows = index.iloc[pairs["eeg"]].reset_index(drop=True)
    assert isinstance(rows, pd.DataFrame)
    assert (rows.groupby(["subject", "clip"], observed=True)["start_s"].diff().dropna() > 0).all()

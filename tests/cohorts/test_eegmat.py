"""EEGMAT: what is planned, what is read, who is left out, and the real people through the pipeline's own steps."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from physiopipe.clips.features import band_power, beat_features
from physiopipe.cohorts.eegmat import COHORT, EEG_CHANNELS, EegmatData
from physiopipe.cohorts.eegmat_tree import LABELS, plan_batches, read_recording
from physiopipe.errors import PhysiopipeError
from physiopipe.params import Run
from physiopipe.recordings.download import download_batch
from physiopipe.recordings.edf import read_edf_samples
from physiopipe.recordings.edf_writing import EdfChannel, edf_bytes
from physiopipe.recordings.montage import positions_m
from physiopipe.recordings.recording import RecordingBatch, Rejected, RejectedRecord, in_batches
from physiopipe.recordings.tree import Batch, open_tree, read_plan, write_plan
from physiopipe.windows.collect import collect_cohort
from physiopipe.windows.part import PartName
from physiopipe.windows.prepare import filter_batch, read_recordings, resample_batch
from physiopipe.windows.shard import shard_batch
from physiopipe.windows.store import WindowStore

SIMULATED = EegmatData(origin="simulated")


def plan(root: Path, data: EegmatData) -> list[Batch]:
    return plan_batches(open_tree(str(root), Run()), data)


def found(root: Path, folder: Path, modality: str, data: EegmatData) -> list[RecordingBatch | Rejected]:
    """Recordings of a tree, downloaded and read as the workflow does it."""
    [batch] = plan(root, data)
    stamp = folder / "complete" / "stamp.json"
    download_batch(open_tree(str(root), Run()), batch, folder / "raw", stamp, folder / "locks" / "c", Run())
    return list(read_recordings(COHORT, modality, stamp, batch, folder / "raw", data))


def names(items: list[RecordingBatch | Rejected]) -> list[str]:
    return [name for item in items if not isinstance(item, Rejected) for name in item.record]


def test_the_channels_are_electrodes_of_the_ten_twenty_system() -> None:
    assert len(EEG_CHANNELS) == len(positions_m(EEG_CHANNELS)) == 19
    assert not {"T3", "T4", "T5", "T6"} & set(EEG_CHANNELS)
    assert EEG_CHANNELS[:2] + EEG_CHANNELS[6:8] + EEG_CHANNELS[10:12] == ("Fp1", "Fp2", "T7", "T8", "P7", "P8")
    assert COHORT.modalities["ecg"].channels == ("ECG",)


def test_the_plan_holds_every_file_with_its_sum(eegmat_tree: Path, tmp_path: Path) -> None:
    batches = plan(eegmat_tree, SIMULATED)
    assert [(batch.name, batch.source) for batch in batches] == [("eegmat", "eegmat")]
    listed = (eegmat_tree / "RECORDS").read_text().split()
    assert [path for path, _ in batches[0].files] == listed
    assert all(len(sha256) == 64 for _, sha256 in batches[0].files)
    assert batches[0].records == tuple(name.removesuffix(".edf") for name in listed)
    write_plan(tmp_path, batches)
    assert read_plan(tmp_path) == batches


def test_many_people_are_shared_out_and_none_is_cut_in_two(tmp_path: Path) -> None:
    people = [f"Subject{number:02d}_{clip}.edf" for number in range(99) for clip in (1, 2)]
    (tmp_path / "RECORDS").write_text("\n".join(people))
    (tmp_path / "SHA256SUMS.txt").write_text("".join(f"{'0' * 64} {name}\n" for name in people))
    batches = plan(tmp_path, EegmatData(allow_missing=True))
    assert [batch.name for batch in batches] == ["eegmat.1", "eegmat.2", "eegmat.3"]
    assert [path for batch in batches for path, _ in batch.files] == people
    assert all(len(batch.files) % 2 == 0 and batch.size <= 250e6 for batch in batches)


def test_lists_that_are_wrong_are_refused(tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS.txt").write_text("")
    for text, said in (("Subject00_1.edf\n../x.edf\n", r"names '\.\./x\.edf'"), ("\n", "names no recording")):
        (tmp_path / "RECORDS").write_text(text)
        with pytest.raises(PhysiopipeError, match=said):
            plan(tmp_path, EegmatData(allow_missing=True))


def test_a_recording_is_what_the_file_says(eegmat_tree: Path) -> None:
    path = eegmat_tree / "Subject03_2.edf"
    samples = read_edf_samples(path, LABELS)
    eeg, ecg = (read_recording(path, "eegmat", modality, SIMULATED) for modality in ("eeg", "ecg"))
    assert (eeg.record, ecg.record) == ("s03_c02_eeg", "s03_c02_ecg")
    assert (eeg.unit, ecg.unit) == ("uV", "mV")
    assert (eeg.channels, ecg.channels) == (EEG_CHANNELS, ("ECG",))
    for each, rows in ((eeg, slice(19)), (ecg, slice(20, 21))):
        assert (each.subject, each.clip, each.source, each.rate_hz) == ("s03", 2, "eegmat", 500.0)
        assert each.ratings == {"arithmetic": 1.0}
        np.testing.assert_array_equal(each.signal, samples.signal[rows, : 20 * 500])
    rest = read_recording(eegmat_tree / "Subject03_1.edf", "eegmat", "eeg", SIMULATED)
    assert (rest.record, rest.clip, rest.ratings) == ("s03_c01_eeg", 1, {"arithmetic": 0.0})
    assert rest.signal.shape == (19, 25 * 500)
    with_ears = read_recording(path, "eegmat", "eeg", EegmatData(origin="simulated", use_a2_a1=True))
    assert with_ears.channels == (*EEG_CHANNELS, "A2-A1")
    np.testing.assert_array_equal(with_ears.signal, samples.signal[:20, : 20 * 500])


def test_real_and_simulated_are_never_taken_for_each_other(eegmat_tree: Path, tmp_path: Path) -> None:
    with pytest.raises(PhysiopipeError, match=r"is a simulated file, expected a real one: set `data\.eegmat\.origin`"):
        read_recording(eegmat_tree / "Subject00_1.edf", "eegmat", "eeg", EegmatData())
    for clip in (1, 2):
        (tmp_path / f"Subject00_{clip}.edf").write_bytes(_file())
    with pytest.raises(PhysiopipeError, match="is not a simulated file"):
        read_recording(tmp_path / "Subject00_1.edf", "eegmat", "ecg", SIMULATED)


def _file(rate_hz: int = 500, labels: tuple[str, ...] = LABELS, unit: str = "uV", still: bool = False) -> bytes:
    signal = np.random.default_rng(0).normal(size=(len(labels), 3 * rate_hz)) * (not still)
    channels = [EdfChannel(label, unit) for label in labels]
    return edf_bytes(signal, rate_hz, channels, "X X X somebody", "Startdate X X X X")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (_file(250), "at 250 Hz, expected 500 Hz"),
        (_file(labels=LABELS[1:]), "has no channel EEG Fp1"),
        (_file(unit="lx"), "in lx; expected voltages"),
        (_file(still=True), "no channel ever changes"),
        (_file()[:-2], "its header tells of"),
        (b"", "no EDF file"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_reason(tmp_path: Path, content: bytes, said: str) -> None:
    for clip in (1, 2):
        (tmp_path / f"Subject00_{clip}.edf").write_bytes(content)
    with pytest.raises(RejectedRecord, match=said):
        read_recording(tmp_path / "Subject00_1.edf", "eegmat", "eeg", EegmatData())


def test_a_person_without_both_files_is_left_out_by_name_or_refused(eegmat_tree: Path, tmp_path: Path) -> None:
    part = tmp_path / "tree"
    shutil.copytree(eegmat_tree, part)
    for name in ("Subject01_1.edf", "Subject04_1.edf", "Subject04_2.edf"):
        (part / name).unlink()
    with pytest.raises(PhysiopipeError, match=r"10 recordings and has not Subject01_1\.edf, Subject04_1\.edf, Subj"):
        plan(part, SIMULATED)
    going_on = EegmatData(origin="simulated", allow_missing=True)
    items = found(part, tmp_path, "ecg", going_on)
    reasons = {item.record: item.reason for item in items if isinstance(item, Rejected)}
    assert list(reasons) == ["Subject01_1", "Subject01_2", "Subject04_1", "Subject04_2"]
    assert "listed, but not on the server" in reasons["Subject01_1"]
    assert reasons["Subject01_2"].startswith("Subject01_1.edf is missing: a person without")
    assert names(items) == [f"s{person}_c{clip:02d}_ecg" for person in ("00", "02", "03") for clip in (1, 2)]
    with pytest.raises(PhysiopipeError, match=r"Subject01_2\.edf is here and Subject01_1\.edf is not"):
        read_recording(part / "Subject01_2.edf", "eegmat", "ecg", SIMULATED)


@pytest.mark.sample
def test_the_real_people_that_are_here_are_read_and_the_others_named(real_eegmat: Path, tmp_path: Path) -> None:
    with pytest.raises(PhysiopipeError, match=r"72 recordings and has not Subject16_1\.edf"):
        plan(real_eegmat, EegmatData())
    items = found(real_eegmat, tmp_path, "eeg", EegmatData(allow_missing=True))
    assert sum(isinstance(item, Rejected) for item in items) == 40
    assert names(items) == [f"s{person:02d}_c{clip:02d}_eeg" for person in range(16) for clip in (1, 2)]
    for item in items:
        if not isinstance(item, Rejected):
            assert item.channels == EEG_CHANNELS
            assert all(2 < np.median(signal.std(axis=1)) < 26 for signal in item.signal)  # of EEG in µV


@pytest.mark.sample
def test_a_real_clip_goes_through_the_steps(real_eegmat: Path, tmp_path: Path) -> None:
    data, windows = EegmatData(allow_missing=True), {}
    for modality, how in COHORT.modalities.items():
        read = [read_recording(real_eegmat / f"Subject06_{clip}.edf", "eegmat", modality, data) for clip in (1, 2)]
        filter_batch(in_batches(read), tmp_path / "filtered", how.filter)
        resample_batch(tmp_path / "filtered", tmp_path / "resampled", how.resample)
        name = PartName("eegmat", modality, "eegmat", "test", False, COHORT.task_names)
        shard_batch(tmp_path / "resampled", tmp_path / modality, name, how.resample.rates_hz, how.shard)
        collect_cohort("eegmat", [tmp_path / modality], tmp_path / f"windows-{modality}", {})
        store = WindowStore(tmp_path / f"windows-{modality}")
        assert store.index["arithmetic"].tolist() == [0.0] * 18 + [1.0] * 6  # 180 s and 60 s
        counts, scale, valid = store.gather(np.arange(24))
        assert (valid == 10).all()
        windows[modality] = counts.astype(np.float32) * scale[:, None, None, None]
        assert not store.index["flat"].any()
    assert windows["eeg"].shape == (24, 19, 10, 200)
    assert windows["ecg"].shape == (24, 1, 10, 200)
    assert np.isfinite(band_power(windows["eeg"])).all()
    heart_rate = beat_features(windows["ecg"])[:, 0]
    assert (heart_rate > 45).all()
    assert (heart_rate < 130).all()

"""The cohort bcmi: the published list and events, trials read from simulated files (MNE as oracle), planted effects."""

import hashlib
import re
from pathlib import Path
from statistics import NormalDist, mean

import mne
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from physiopipe.cohorts.base import PublishedList
from physiopipe.cohorts.bcmi import COHORT, EEG_CHANNELS, REPORTS, BcmiClips, BcmiData, SimulateBcmi
from physiopipe.cohorts.bcmi_simulation import latents, plan_cohort, simulate_bcmi
from physiopipe.cohorts.bcmi_tree import plan_batches, read_events, read_run
from physiopipe.cohorts.planted_signals import QUANTITIES
from physiopipe.errors import PhysiopipeError
from physiopipe.files import read_json, write_json
from physiopipe.params import Run
from physiopipe.recordings.file_list import ListedFile, read_list
from physiopipe.recordings.montage import positions_m
from physiopipe.recordings.recording import Recording, Rejected, RejectedRecord
from physiopipe.recordings.transport import Tree
from physiopipe.recordings.tree import Batch, open_tree
from physiopipe.windows.part import PartName
from physiopipe.windows.prepare import filter_batch, read_recordings, resample_batch
from physiopipe.windows.shard import shard_batch

PARAMS = SimulateBcmi(subjects=5, runs=1, trials=4, still_share=0.3, seed=3)
DATA = BcmiData(origin="simulated")
PUBLISHED = BcmiData()
# The published events of sub-17, run 2: twelve trials have lost their onset.
LOST_ONSETS = (
    "1 139 9 182 9 185 6 166 9 180 5 105 5 102 6 116 9 205 3 106 3 192 4 109",
    "9.643 7 154 63.112 3 142 114.48 9 125 165.193 7 127 225.137 6 104 292.95 9 118",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("simulated") / "bcmi"
    simulate_bcmi(root / "files.csv", PARAMS)
    return root


def run_of(root: Path, person: int) -> Path:
    return root / f"sub-{person:02d}/eeg/sub-{person:02d}_task-run1_eeg.edf"


def read(path: Path, modality: str = "eeg", data: BcmiData = DATA) -> list[Recording | Rejected]:
    return list(read_run(path, "bcmi", modality, data))


def recordings(path: Path, modality: str = "eeg", data: BcmiData = DATA) -> list[Recording]:
    return [item for item in read(path, modality, data) if isinstance(item, Recording)]


def published_tree(tmp_path: Path) -> Tree:
    return open_tree(str(tmp_path), Run())


def published_list() -> dict[str, ListedFile]:
    publication = COHORT.publication
    assert isinstance(publication, PublishedList)
    return {listed.path: listed for listed in read_list(publication.list_path.read_text(), "the package's list")}


def lost_onsets() -> bytes:
    lines = ["onset\tduration\ttrial_type"]
    lines += [f"0\t21\t{code}" for code in LOST_ONSETS[0].split()]
    words = LOST_ONSETS[1].split()
    for onset, target, music in zip(words[::3], words[1::3], words[2::3], strict=True):
        lines += [f"{onset}\t21\t{target}", f"{onset}\t21\t{music}"]
    return ("\n".join(lines) + "\n").encode()


# ---- what was published


def test_the_list_in_the_package_is_that_of_the_94_published_runs() -> None:
    files = published_list()
    signals = [listed for listed in files.values() if listed.path.endswith("_eeg.edf")]
    assert len(signals) == 94
    assert len(files) == 188
    for listed in signals:  # 37 channels at 1000 Hz in records of a second, int16, behind a header of 38 · 256 bytes
        seconds, rest = divmod(listed.size - 38 * 256, 74_000)
        assert rest == 0
        assert 796 <= seconds <= 1128
        assert listed.path.replace("_eeg.edf", "_events.tsv") in files
    assert sum(listed.size for listed in signals) == 94 * 38 * 256 + 82_402 * 74_000
    golden = {"01": ("1", "13fff64b6eaced7fb31cb1baf0cd314e"), "19": ("5", "1f06823c6d1541fcc822e8fbe4516cbb")}
    for person, (run, md5) in golden.items():
        assert files[f"sub-{person}/eeg/sub-{person}_task-run{run}_eeg.edf"].md5 == md5


def test_a_batch_is_a_person_and_small_enough_for_a_job(tmp_path: Path) -> None:
    batches = plan_batches(published_tree(tmp_path), PUBLISHED)
    assert [batch.name for batch in batches] == [f"sub-{number:02d}" for number in range(1, 20)]
    assert {batch.name: len(batch.records) for batch in batches if len(batch.records) != 5} == {"sub-06": 4}
    assert max(batch.size for batch in batches) < 500e6
    assert batches[0].records[0] == "sub-01_task-run1"
    for batch in batches:
        for record, first in batch.first_files.items():
            assert first == f"{batch.name}/eeg/{record}_eeg.edf"
        assert all(re.fullmatch("md5:[0-9a-f]{32}", checksum) for _, checksum in batch.files)


def test_people_and_runs_can_be_chosen(tmp_path: Path) -> None:
    data = BcmiData(subjects=("sub-06", "sub-02"), max_runs_per_subject=2)
    assert [(batch.name, batch.records) for batch in plan_batches(published_tree(tmp_path), data)] == [
        ("sub-06", ("sub-06_task-run1", "sub-06_task-run2")),
        ("sub-02", ("sub-02_task-run1", "sub-02_task-run2")),
    ]
    with pytest.raises(PhysiopipeError, match=r"data\.bcmi\.subjects names sub-20: .*sub-19"):
        plan_batches(published_tree(tmp_path), BcmiData(subjects=("sub-20",)))


def test_published_events_that_lost_their_onsets_are_read_as_published(tmp_path: Path) -> None:
    content = lost_onsets()
    files = published_list()
    listed = files["sub-17/eeg/sub-17_task-run2_events.tsv"]
    assert (len(content), hashlib.md5(content).hexdigest()) == (listed.size, listed.md5)  # the real file's bytes
    events = tmp_path / "sub-17_task-run2_events.tsv"
    events.write_bytes(content)
    trials = read_events(events)
    assert [trial.number for trial in trials] == list(range(1, 19))
    assert [trial.onset_s for trial in trials] == [0] * 12 + [9.643, 63.112, 114.48, 165.193, 225.137, 292.95]
    assert {trial.duration_s for trial in trials} == {21}
    assert [(trial.target, trial.music) for trial in trials[:2] + trials[-1:]] == [(1, 139), (9, 182), (9, 118)]


def test_every_electrode_has_a_place_in_the_10_20_system() -> None:
    assert len(EEG_CHANNELS) == len(positions_m(EEG_CHANNELS)) == 32


# ---- trials of a run


@pytest.mark.parametrize(("modality", "channels", "per_volt"), [("eeg", 32, 1e6), ("ecg", 1, 1e3)])
def test_trials_are_what_mne_reads_between_onset_and_end(
    root: Path, modality: str, channels: int, per_volt: float
) -> None:
    path = run_of(root, 1)
    raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
    assert raw.info["sfreq"] == 1000
    assert len(raw.ch_names) == 37
    events = pd.read_csv(path.with_name("sub-01_task-run1_events.tsv"), sep="\t")
    found = recordings(path, modality)
    assert len(found) == 4
    wanted = raw.ch_names[:32] if modality == "eeg" else ["ECG"]
    for number, recording in enumerate(found):
        onset, music = events.onset[2 * number], events.trial_type[2 * number + 1]
        begin = round(onset * 1000)
        expected = raw.get_data(wanted, begin, begin + 21_000) * per_volt
        assert recording.signal.shape == (channels, 21_000)
        assert recording.signal.dtype == np.float32
        np.testing.assert_allclose(recording.signal, expected, rtol=1e-5, atol=1e-4)
        reports = raw.get_data(["VA1", "VA2"], begin + 10_000, begin + 20_000) * 1e6
        assert list(recording.ratings) == ["valence", "arousal"]
        np.testing.assert_allclose(list(recording.ratings.values()), reports.mean(axis=1), atol=6e-4)
        assert recording.clip == music - 100
        assert recording.subject == "sub-01"
        assert recording.record == f"sub-01_task-run1_trial-{number + 1:02d}_{modality}"
        assert (recording.rate_hz, recording.unit) == (1000, {"eeg": "uV", "ecg": "mV"}[modality])
    assert [name.upper() for name in found[0].channels] == [name.upper() for name in wanted]


def test_labels_and_still_reports_are_the_planned_ones(root: Path) -> None:
    plan = plan_cohort(PARAMS)
    assert plan.still.any()
    seen = 0
    for person in range(PARAMS.subjects):
        for recording in recordings(run_of(root, person + 1), "ecg"):
            trial = int(recording.record.split("_trial-")[1][:2]) - 1
            if person == PARAMS.subjects - 1:  # trials that lost their onset come first in this run's events
                trial -= 2
            np.testing.assert_allclose(list(recording.ratings.values()), plan.reports[person, trial], atol=2e-3)
            flags = ("arousal_still", "valence_still") if plan.still[person, trial] else ()
            assert recording.flags == flags
            seen += 1
    assert seen == PARAMS.subjects * PARAMS.trials - 2


def test_a_trial_whose_onset_was_lost_is_a_named_reject(root: Path) -> None:
    path = run_of(root, 5)
    for modality in ("eeg", "ecg"):
        rejected = [item for item in read(path, modality) if isinstance(item, Rejected)]
        assert rejected == [
            Rejected(
                f"sub-05_task-run1_trial-{number:02d}_{modality}",
                "its onset is not known: 2 of the run's trials begin at 0 s",
            )
            for number in (1, 2)
        ]


def test_a_trial_of_unnamed_music_shares_its_clip_with_nobody(root: Path) -> None:
    assert [recording.clip for recording in recordings(run_of(root, 2), "ecg")] == [1101, 1102, 1103, 1104]


def test_which_part_of_a_report_counts_is_a_parameter(root: Path) -> None:
    path = run_of(root, 1)
    samples = mne.io.read_raw_edf(path, include=["VA1"], preload=True, verbose="error").get_data()[0] * 1e6
    early = recordings(path, "ecg", DATA.model_copy(update={"report_from_s": 0.0, "report_until_s": 5.0}))
    for recording, begin in zip(early, (9_643, 33_643, 57_643, 81_643), strict=True):
        assert abs(recording.ratings["valence"] - samples[begin : begin + 5000].mean()) < 6e-4
    late = read(path, "ecg", DATA.model_copy(update={"report_until_s": 40.0}))  # the run ends before that
    assert isinstance(late[-1], Rejected)
    assert "does not end within the recording's 106 s" in late[-1].reason


def changed(root: Path, folder: Path, change: dict[str, tuple[float, float, str]]) -> Path:
    """A copy of a run whose header gives some channels other physical ends and another unit."""
    content = bytearray(run_of(root, 1).read_bytes())
    count = 37
    labels = [bytes(content[256 + 16 * i : 272 + 16 * i]).decode().strip() for i in range(count)]
    for label, (low, high, unit) in change.items():
        at = labels.index(label)
        for offset, text in ((96, unit), (104, f"{low:.6g}"), (112, f"{high:.6g}")):
            place = 256 + count * offset + 8 * at
            content[place : place + 8] = text.encode().ljust(8)
    path = folder / "sub-01_task-run1_eeg.edf"
    path.write_bytes(content)
    (folder / "sub-01_task-run1_events.tsv").write_bytes(
        run_of(root, 1).with_name("sub-01_task-run1_events.tsv").read_bytes()
    )
    return path


@pytest.mark.parametrize(
    ("low", "high", "reason"),
    [(0, 90, "valence .VA1. from 0 to 90, expected 0 to 9"), (-4.5, 4.5, "from -4.5 to 4.5"), (0, 9.2, "to 9.2")],
)
def test_reports_off_their_scale_refuse_the_file(
    root: Path, tmp_path: Path, low: float, high: float, reason: str
) -> None:
    path = changed(root, tmp_path, {"VA1": (low, high, "uV")})
    for modality in ("eeg", "ecg"):
        with pytest.raises(RejectedRecord, match=reason):
            read(path, modality)


def test_reports_that_were_divided_by_a_million_refuse_the_file(root: Path, tmp_path: Path) -> None:
    path = changed(root, tmp_path, {"VA1": (0, 9e-6, "V"), "VA2": (0, 9e-6, "V")})
    with pytest.raises(RejectedRecord, match=r"no report ever exceeds 0\.01"):
        read(path)


def test_the_unit_is_the_headers_and_a_parameter_where_it_names_none(root: Path, tmp_path: Path) -> None:
    (usual,) = recordings(changed(root, tmp_path, {"ECG": (-1000, 1000, "uV")}), "ecg")[:1]
    (spelled,) = recordings(changed(root, tmp_path, {"ECG": (-1000, 1000, "microV")}), "ecg")[:1]
    (milli,) = recordings(changed(root, tmp_path, {"ECG": (-1, 1, "mV")}), "ecg")[:1]
    unnamed = changed(root, tmp_path, {"ECG": (-1, 1, "")})
    (told,) = recordings(unnamed, "ecg", DATA.model_copy(update={"unnamed_unit": "mV"}))[:1]
    (taken,) = recordings(unnamed, "ecg")[:1]
    for other in (spelled, milli, told):
        np.testing.assert_allclose(other.signal, usual.signal, atol=1e-6)
    np.testing.assert_allclose(taken.signal * 1000, usual.signal, atol=1e-6)
    with pytest.raises(RejectedRecord, match="ECG in degC; expected voltages"):
        read(changed(root, tmp_path, {"ECG": (-1, 1, "degC")}), "ecg")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "events.tsv is missing"),
        ("", "other columns"),
        ("onset\tduration\ttrial_type\n", "lists no trial"),
        ("onset\tduration\tvalue\n1\t21\t3\n", "other columns"),
        ("onset\tduration\ttrial_type\n1\t21\tstart\n", "expected numbers"),
        ("onset\tduration\ttrial_type\n1\t21\n", "expected numbers"),
        ("onset\tduration\ttrial_type\nnan\t21\t3\n", "begins at nan s"),
        ("onset\tduration\ttrial_type\n1\t0\t3\n", "lasts 0 s"),
        ("onset\tduration\ttrial_type\n1\t21\t104\n", "event 104 at 1 s is no target"),
        ("onset\tduration\ttrial_type\n1\t21\t3\n2\t21\t104\n", "event 104 at 2 s is no target"),
        ("onset\tduration\ttrial_type\n1\t21\t3\n1\t21\t104\n1\t21\t105\n", "event 105"),
    ],
)
def test_events_that_cannot_be_read_refuse_the_run(root: Path, tmp_path: Path, text: str | None, reason: str) -> None:
    path = changed(root, tmp_path, {})
    events = tmp_path / "sub-01_task-run1_events.tsv"
    if text is None:
        events.unlink()
    else:
        events.write_text(text)
    with pytest.raises(RejectedRecord, match=reason):
        read(path)


def test_a_report_is_high_above_neutral_and_neutral_itself_is_not() -> None:
    rule = BcmiClips()
    assert rule.last_s == 20
    for task in COHORT.tasks:
        high = [bool(np.float32(value) >= rule.threshold(task)) for value in (0, 4.499, 4.5, 4.501, 9)]
        assert high == [False, False, False, True, True]
    assert np.float32(5.3) < BcmiClips(high_above=5.3).threshold(COHORT.tasks[0]) < np.float32(5.301)


# ---- windows


@pytest.fixture(scope="module")
def parts(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Parts of both modalities of the person whose last run lost onsets."""
    folder = tmp_path_factory.mktemp("parts")
    (batch,) = plan_batches(open_tree(str(root), Run()), DATA.model_copy(update={"subjects": ("sub-05",)}))
    stamp = folder / "stamp.json"
    write_json(stamp, {"listed": "", "files": {}, "records": list(batch.records), "rejected": []})
    found = {}
    for name, modality in COHORT.modalities.items():
        filtered, resampled, part = (folder / f"{name}{end}" for end in (".filtered", ".resampled", ""))
        filter_batch(read_recordings(COHORT, name, stamp, batch, root, DATA), filtered, modality.filter)
        resample_batch(filtered, resampled, modality.resample)
        about = PartName("bcmi", name, batch.name, "0" * 24, True, COHORT.task_names)
        shard_batch(resampled, part, about, modality.resample.rates_hz, modality.shard)
        found[name] = part
    return found


@pytest.mark.parametrize(("modality", "channels"), [("eeg", 32), ("ecg", 1)])
def test_a_trial_gives_two_windows_of_ten_seconds(parts: dict[str, Path], modality: str, channels: int) -> None:
    index = pd.read_parquet(parts[modality] / "index.parquet")
    assert len(index) == 2 * 2
    assert index.start_s.tolist() == [0, 10] * 2
    assert set(index.valid_patches) == {10}
    assert index[["valence", "arousal"]].notna().all().all()
    bits = (index.channel_mask.to_numpy(np.int64)[:, None] >> np.arange(channels)) & 1  # the 32nd is the sign
    assert bits.all()
    rejected = pd.read_csv(parts[modality] / "rejected.csv")
    assert rejected.record.tolist() == [f"sub-05_task-run1_trial-{number:02d}_{modality}" for number in (1, 2)]
    about = read_json(parts[modality] / "part.json")
    assert (about["records"], about["rejected"], about["unit"]) == (2, 2, {"eeg": "uV", "ecg": "mV"}[modality])
    still = int(plan_cohort(PARAMS).still[4, :2].sum())
    assert about.get("record_flags", {}) == ({"arousal_still": still, "valence_still": still} if still else {})


def test_a_run_that_was_not_downloaded_is_one_reject(root: Path, tmp_path: Path) -> None:
    batch = Batch("sub-01", "bcmi", (("sub-01/eeg/sub-01_task-run1_eeg.edf", ""),))
    write_json(
        tmp_path / "stamp.json", {"listed": "", "files": {}, "records": [], "rejected": [["sub-01_task-run1", "gone"]]}
    )
    assert list(read_recordings(COHORT, "ecg", tmp_path / "stamp.json", batch, root, DATA)) == [
        Rejected("sub-01_task-run1", "gone", absent=True)
    ]


# ---- the simulation


def test_the_same_seed_gives_the_same_tree(root: Path, tmp_path: Path) -> None:
    simulate_bcmi(tmp_path / "tree" / "files.csv", PARAMS)
    assert (tmp_path / "tree" / "files.csv").read_text() == (root / "files.csv").read_text()
    for listed in read_list((root / "files.csv").read_text(), "files.csv"):
        content = (root / listed.path).read_bytes()
        assert (len(content), hashlib.md5(content).hexdigest()) == (listed.size, listed.md5)
    first = run_of(root, 1).read_bytes()
    assert b"simulated by physiopipe" in first[:256]
    assert (len(first) - 38 * 256) % 74_000 == 0  # as published
    (tmp_path / "tree" / "mine.txt").write_text("kept")
    with pytest.raises(PhysiopipeError, match=r"holds 'mine\.txt'"):
        simulate_bcmi(tmp_path / "tree" / "files.csv", PARAMS)


def test_nobody_hears_a_piece_twice_and_all_hear_the_same_ones() -> None:
    music = plan_cohort(SimulateBcmi(subjects=19, runs=5, trials=18)).music
    assert {tuple(sorted(heard)) for heard in music.tolist()} == {tuple(range(101, 191))}


@pytest.mark.parametrize("share", [0.5, 0.0])
def test_levels_are_worth_what_was_planted(share: float) -> None:
    seeds = [SimulateBcmi(subjects=19, runs=5, trials=18, hidden_share=share, seed=seed) for seed in range(10)]
    drawn = [latents(params) for params in seeds]
    for task in range(2):
        found = mean(float(roc_auc_score(one.moved[:, task], one.level[:, task])) for one in drawn)
        assert abs(found - NormalDist().cdf(1.16)) < 0.01


def test_latents_are_of_the_clips_that_are_read(root: Path) -> None:
    drawn = latents(PARAMS)
    value = dict(zip(zip(drawn.subject, drawn.clip, strict=True), drawn.value, strict=True))
    assert len(value) == len(drawn.clip)
    seen = 0
    for person in range(PARAMS.subjects):
        for one in recordings(run_of(root, person + 1), "ecg"):
            report = value[one.subject, one.clip]
            assert [one.ratings[task] for task in REPORTS] == pytest.approx(report.tolist(), abs=0.01)
            seen += 1
    assert seen == len(value) - 2  # whose onsets were lost


def test_signals_carry_the_planned_levels(root: Path) -> None:
    plan = plan_cohort(PARAMS)
    found: dict[str, list[list[float]]] = {name: [] for name in ("theta", "alpha", "qrs")}
    for person in range(PARAMS.subjects - 1):  # the last one lost onsets
        eeg, ecg = (recordings(run_of(root, person + 1), modality) for modality in ("eeg", "ecg"))
        for name, (low, high) in {"theta": (4.5, 7.5), "alpha": (8.5, 11.5)}.items():
            found[name].append([float(np.log(band_power(each.signal, low, high))) for each in eeg])
        found["qrs"].append([float(np.log(np.ptp(each.signal))) for each in ecg])
    for name, values in found.items():
        measured = np.array(values)
        planned = plan.z[: len(measured), :, QUANTITIES.index(name)]
        measured, planned = (each - each.mean(axis=1, keepdims=True) for each in (measured, planned))
        assert np.corrcoef(measured.ravel(), planned.ravel())[0, 1] > 0.6, name


def band_power(signal: np.ndarray, low_hz: float, high_hz: float) -> float:
    frequency = np.fft.rfftfreq(signal.shape[1], 1 / 1000)
    power = np.abs(np.fft.rfft(signal - signal.mean(axis=1, keepdims=True))) ** 2
    return float(power[:, (frequency > low_hz) & (frequency < high_hz)].mean())

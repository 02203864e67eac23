"""Cohorts by declaration whose EEG and ECG lie in two files of a session: read as if they were in one."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prepared import store_tree

from physiopipe.cohorts.own import OwnData
from physiopipe.cohorts.own_labels import read_labels
from physiopipe.cohorts.own_tree import listed_files, read_recording
from physiopipe.errors import PhysiopipeError
from physiopipe.params import Params, check_params
from physiopipe.recordings.edf import read_edf_samples
from physiopipe.recordings.edf_writing import EdfChannel, edf_bytes
from physiopipe.recordings.recording import Recording, RejectedRecord

RATE_HZ, LENGTH_S, PEOPLE = 250, 12, ("01", "02")
EEG, ECG = ("Fp1", "Cz"), ("II",)
DECLARED: dict[str, Any] = {
    "tasks": ["load"], "eeg": EEG, "ecg": ECG, "eeg_rate_hz": RATE_HZ, "ecg_rate_hz": RATE_HZ,
}  # fmt: skip


def signals(person: str) -> np.ndarray:
    """Microvolt (2 EEG channels and lead II, time)."""
    time = np.arange(LENGTH_S * RATE_HZ) / RATE_HZ
    noise = 20 * np.random.default_rng(int(person)).normal(size=(3, len(time)))
    noise[2] = 0.2 * noise[2] + 900 * np.exp(-0.5 * ((time % 0.8 - 0.4) / 0.015) ** 2)
    return noise


def write(path: Path, signal: np.ndarray, names: tuple[str, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = [EdfChannel(name, "uV") for name in names]
    path.write_bytes(edf_bytes(signal, RATE_HZ, channels, "X X X X", "Startdate X X X X"))


def in_one(folder: Path) -> dict[str, Any]:
    for person in PEOPLE:
        write(folder / f"sub-{person}" / f"sub-{person}_eeg.edf", signals(person), (*EEG, "ECG II"))
    (folder / "people.tsv").write_text("participant_id\tload\nsub-01\t0\nsub-02\t1\n")
    return {"layout": "bids", "labels": "people.tsv"}


def in_two(folder: Path) -> dict[str, Any]:
    """BIDS, as `_eeg.edf` and `_ecg.edf`."""
    about = in_one(folder)
    for person in PEOPLE:
        base = folder / f"sub-{person}"
        write(base / f"sub-{person}_eeg.edf", signals(person)[:2], EEG)
        write(base / f"sub-{person}_ecg.edf", signals(person)[2:], ("ECG II",))
    return about | {"ecg_files": "ecg"}


def with_physio(folder: Path) -> dict[str, Any]:
    """BIDS' own table of signals, with a column before the ECG."""
    about = in_two(folder)
    for person in PEOPLE:
        path = folder / f"sub-{person}" / f"sub-{person}_ecg.edf"
        [ecg] = read_edf_samples(path, ("ECG II",)).signal
        path.unlink()
        write_physio(path.with_name(f"sub-{person}_physio.tsv.gz"), ecg)
    return about | {"ecg_files": "physio", "stored_as": {"II": "cardiac"}}


def write_physio(path: Path, ecg: np.ndarray, **changes: Any) -> None:
    lines = "\n".join(f"{number}\t{float(value)!r}" for number, value in enumerate(ecg))
    path.write_bytes(gzip.compress(lines.encode()))
    about = {"SamplingFrequency": RATE_HZ, "StartTime": 0, "Columns": ["trigger", "cardiac"]}
    told = about | {"cardiac": {"Units": "uV"}} | changes
    path.with_name(path.name.replace(".tsv.gz", ".json")).write_text(json.dumps(told))


def by_table(folder: Path) -> dict[str, Any]:
    """A folder and a csv with a column for each of the two files."""
    in_two(folder)
    lines = ["eeg_file,ecg_file,subject,load"]
    for label, person in enumerate(PEOPLE):
        (folder / f"sub-{person}" / f"sub-{person}_eeg.edf").rename(folder / f"brain{person}.edf")
        (folder / f"sub-{person}" / f"sub-{person}_ecg.edf").rename(folder / f"heart{person}.edf")
        lines.append(f"brain{person}.edf,heart{person}.edf,{person},{label}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return {}


def params_of(folder: Path, about: dict[str, Any]) -> Params:
    content = {
        "cohorts": {"downstream": ["lab"], "own": {"lab": DECLARED | about}},
        "data": {"lab": {"path": str(folder)}},
        "clips": {"lab": {"last_s": 10}},
    }
    return check_params(content, "test", with_methods=False)


def read(folder: Path, about: dict[str, Any], modality: str, person: str = "01") -> Recording:
    data = params_of(folder, about).data["lab"]
    assert isinstance(data, OwnData)
    [file] = [one.file for one in read_labels(folder, data.declared).values() if one.subject == person]
    found = read_recording(folder / file, "lab", modality, data)
    assert isinstance(found, Recording)
    return found


@pytest.mark.parametrize(
    "arrange", [with_physio, *(pytest.param(each, marks=pytest.mark.slow) for each in (in_two, by_table))]
)
def test_two_files_give_the_windows_of_one(tmp_path: Path, arrange: Callable[[Path], dict[str, Any]]) -> None:
    """Planned, brought to data/raw and cut by the workflow's own steps; an ECG's file is no recording of its own."""
    stored = {}
    for name, write_files in {"one": in_one, "two": arrange}.items():
        params = params_of(tmp_path / name, write_files(tmp_path / name))
        stored[name] = store_tree(tmp_path / "made" / name, "lab", params)
    index, expected = (pd.read_parquet(stored[name] / "index.parquet") for name in ("two", "one"))
    pd.testing.assert_frame_equal(index, expected)
    assert len(index) == 2 * len(PEOPLE)
    shards = {
        name: [path.read_bytes() for path in sorted(folder.rglob("c.*")) if path.is_file()]
        for name, folder in stored.items()
    }
    assert shards["two"] == shards["one"] != []
    assert (stored["two"] / "rejected.csv").read_text().count("\n") == 1


def test_the_stretch_that_both_hold_is_used_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    about, whole = in_two(tmp_path / "two"), in_one(tmp_path / "one")
    write(tmp_path / "two" / "sub-01" / "sub-01_ecg.edf", signals("01")[2:, : 9 * RATE_HZ], ("ECG II",))
    for modality in ("eeg", "ecg"):
        expected = read(tmp_path / "one", whole, modality).signal[:, : 9 * RATE_HZ]
        np.testing.assert_allclose(read(tmp_path / "two", about, modality).signal, expected, atol=0.03)
        said = capsys.readouterr().out
        assert "EEG of 12.0 s, ECG from 0.0 s to 9.0 s; what both hold is used, 0.0 s to 9.0 s" in said


@pytest.mark.parametrize(
    ("eeg_ends_s", "ecg_ends_s", "used_s"), [(12, 8, 12), (12, 0, 12), (7, 12, 12), (9, 8, 9), (0, 0, None)]
)
def test_one_file_that_is_still_cuts_nothing_off_the_other(
    tmp_path: Path, eeg_ends_s: int, ecg_ends_s: int, used_s: int | None
) -> None:
    """An electrode that fell off is flat to the end, as in one file; only where both are still is padding."""
    whole, about = in_one(tmp_path / "one"), in_two(tmp_path / "two")
    signal = signals("01")
    signal[:2, eeg_ends_s * RATE_HZ :] = 0
    signal[2, ecg_ends_s * RATE_HZ :] = 0
    write(tmp_path / "one" / "sub-01" / "sub-01_eeg.edf", signal, (*EEG, "ECG II"))
    write(tmp_path / "two" / "sub-01" / "sub-01_eeg.edf", signal[:2], EEG)
    write(tmp_path / "two" / "sub-01" / "sub-01_ecg.edf", signal[2:], ("ECG II",))
    for modality in ("eeg", "ecg"):
        if used_s is None:
            with pytest.raises(RejectedRecord, match="no channel ever changes"):
                read(tmp_path / "two", about, modality)
            continue
        expected = read(tmp_path / "one", whole, modality).signal
        assert expected.shape[1] == used_s * RATE_HZ
        np.testing.assert_array_equal(read(tmp_path / "two", about, modality).signal, expected)


@pytest.mark.parametrize("start_s", [2, -1.5])
def test_a_physio_file_says_when_it_begins(tmp_path: Path, start_s: float) -> None:
    about = with_physio(tmp_path)
    eeg, ecg = read(tmp_path, about, "eeg").signal, read(tmp_path, about, "ecg").signal
    write_physio(tmp_path / "sub-01" / "sub-01_physio.tsv.gz", 1000 * ecg[0], StartTime=start_s)
    later, earlier = round(max(start_s, 0) * RATE_HZ), round(max(-start_s, 0) * RATE_HZ)
    shared = eeg.shape[1] - later - earlier
    np.testing.assert_array_equal(read(tmp_path, about, "eeg").signal, eeg[:, later : later + shared])
    found = read(tmp_path, about, "ecg").signal
    np.testing.assert_allclose(found, ecg[:, earlier : earlier + shared], rtol=1e-6)


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    about = in_two(tmp_path)
    path = tmp_path / "sub-01" / "sub-01_ecg.edf"
    whole = path.read_bytes()
    path.write_bytes(whole[:176] + b"10.00.01" + whole[184:])
    with pytest.raises(RejectedRecord, match=r"sub-01_ecg\.edf at .* 10\.00\.01: expected files that begin together"):
        read(tmp_path, about, "eeg")
    write(path, signals("01")[2:], ("V1",))
    with pytest.raises(RejectedRecord, match=r"sub-01_ecg\.edf has no channel II; it has: V1"):
        read(tmp_path, about, "eeg")
    path.unlink()
    data = params_of(tmp_path, about).data["lab"]
    assert isinstance(data, OwnData)
    with pytest.raises(PhysiopipeError, match=r"names 4 files, and .* has not sub-01/sub-01_ecg\.edf"):
        listed_files(tmp_path, data)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"StartTime": None}, "expected SamplingFrequency .* and StartTime"),
        ({"StartTime": 10**400}, "expected SamplingFrequency .* and StartTime"),
        ({"SamplingFrequency": 100}, "its ECG is at 100 Hz, expected 250 Hz"),
        ({"StartTime": 60}, "share no stretch of time: EEG until 12 s, ECG from 60 s to 72 s"),
        ({"Columns": ["trigger"]}, "has not one column cardiac; it has: trigger"),
        ({"Columns": "cardiac"}, "gives no Columns"),
        ({"cardiac": {}}, "cardiac in no unit; expected voltages"),
        ({"Columns": ["a", "b", "cardiac"]}, "is no table of 3 columns"),
    ],
)
def test_a_wrong_physio_file_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    about = with_physio(tmp_path)
    write_physio(tmp_path / "sub-01" / "sub-01_physio.tsv.gz", signals("01")[2], **changes)
    with pytest.raises(RejectedRecord, match=words):
        read(tmp_path, about, "ecg")


def test_a_damaged_physio_file_is_refused(tmp_path: Path) -> None:
    about = with_physio(tmp_path)
    path = tmp_path / "sub-01" / "sub-01_physio.tsv.gz"
    whole, side = path.read_bytes(), path.with_name("sub-01_physio.json")
    for content in (
        whole[: len(whole) // 2],
        b"no gzip",
        gzip.compress(b"1\tn/a\n2\t3\n"),
        gzip.compress(b"\xff\t\0x"),
    ):
        path.write_bytes(content)
        with pytest.raises(RejectedRecord, match=r"sub-01_physio\.tsv\.gz"):
            read(tmp_path, about, "ecg")
    path.write_bytes(whole)
    for text in ("", "[", "[" * 100_000, "[]", '"Columns"'):
        side.write_text(text)
        with pytest.raises(RejectedRecord, match=r"sub-01_physio\.json"):
            read(tmp_path, about, "ecg")


@pytest.mark.parametrize(
    ("table", "changes", "words"),
    [
        ("eeg_file,ecg_file,subject,load\na.edf,,p,1\n", {}, "line 2, ecg_file: expected the path of an .edf file"),
        ("eeg_file,ecg_file,subject,load\na.edf,../b_physio.tsv.gz,p,1\n", {}, "line 2: expected the path"),
        ("file,ecg_file,subject,load\na.edf,c.edf,p,1\nb.edf,c.edf,p,1\n", {}, "line 3: c.edf is named twice"),
        ("file,ecg_file,subject,load\na.edf,b.edf,p,1\nb.edf,c.edf,p,1\n", {}, "line 3: b.edf is named twice"),
        ("file,subject,load\na.edf,p,1\n", {"ecg_files": "ecg"}, "looked for beside a file …_eeg.edf"),
    ],
)
def test_a_wrong_table_of_two_files_is_told(tmp_path: Path, table: str, changes: dict[str, str], words: str) -> None:
    (tmp_path / "labels.csv").write_text(table)
    data = params_of(tmp_path, changes).data["lab"]
    assert isinstance(data, OwnData)
    with pytest.raises(PhysiopipeError, match=words):
        read_labels(tmp_path, data.declared)

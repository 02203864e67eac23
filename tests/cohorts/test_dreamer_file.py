"""The DREAMER reader: equal to scipy.io.loadmat, and plain about every file that is not DREAMER."""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from physiopipe.cohorts.dreamer import EEG_CHANNELS, DreamerData, SimulateDreamer
from physiopipe.cohorts.dreamer_file import Rejected, read_dreamer
from physiopipe.cohorts.dreamer_simulation import simulate_dreamer
from physiopipe.errors import PhysiopipeError
from physiopipe.recordings.matfile import open_mat
from physiopipe.recordings.recording import Recording

PARAMS = SimulateDreamer(subjects=5, clips=3, min_clip_s=10, max_clip_s=12, baseline_s=2, seed=3)
DATA = DreamerData()


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dreamer") / "DREAMER.mat"
    simulate_dreamer(path, PARAMS)
    return path


def cell(values: list[Any], shape: tuple[int, int] | None = None) -> np.ndarray:
    box = np.empty(len(values), object)
    for i, value in enumerate(values):
        box[i] = value
    return box.reshape(shape or (len(values), 1))


def content(subjects: int = 23, clips: int = 18, seconds: int = 1) -> dict[str, Any]:
    """A file as published, in nesting and counts, with very short clips."""
    rng = np.random.default_rng(0)

    def signals(rate: int, channels: int) -> np.ndarray:
        return cell([rng.normal(4200, 20, (rate * seconds, channels)) for _ in range(clips)])

    people = [
        {
            "Age": "25",
            "Gender": "female",
            "EEG": {"baseline": signals(128, 14), "stimuli": signals(128, 14)},
            "ECG": {"baseline": signals(256, 2), "stimuli": signals(256, 2)},
            **{
                f"Score{name}": rng.integers(1, 6, (clips, 1)).astype(float)
                for name in ("Valence", "Arousal", "Dominance")
            },
        }
        for _ in range(subjects)
    ]
    return {
        "Data": cell(people, (1, subjects)),
        "EEG_SamplingRate": 128.0,
        "ECG_SamplingRate": 256.0,
        "EEG_Electrodes": cell(list(EEG_CHANNELS), (1, 14)),
        "noOfSubjects": float(subjects),
    }


def save(path: Path, dreamer: Any, *, name: str = "DREAMER", compress: bool = False) -> Path:
    scipy.io.savemat(path, {name: dreamer}, do_compression=compress)
    return path


@pytest.mark.parametrize("compress", [True, False])
def test_a_real_shaped_file_is_read_as_loadmat_reads_it(tmp_path: Path, compress: bool) -> None:
    path = tmp_path / "DREAMER.mat"
    scipy.io.savemat(path, {"other": np.eye(3), "DREAMER": content(), "later": "x"}, do_compression=compress)
    found = list(read_dreamer(path, DreamerData(eeg_unit_uv=0.5), simulated=False))
    oracle = scipy.io.loadmat(path)["DREAMER"][0, 0]["Data"]
    assert len(found) == 2 * 23 * 18
    for recording in found:
        assert isinstance(recording, Recording)
        person = oracle[0, int(recording.subject[1:]) - 1]
        modality = recording.record[-3:].upper()
        wanted = person[modality][0, 0]["stimuli"][0, 0][recording.clip - 1, 0]
        scale = 0.5 if modality == "EEG" else 1.0
        np.testing.assert_array_equal(recording.signal, wanted.astype(np.float32).T * np.float32(scale))
        assert recording.signal.flags.c_contiguous
        assert (recording.rate_hz, recording.unit) == {"EEG": (128, "uV"), "ECG": (256, "unspecified")}[modality]
        assert len(recording.channels) == len(recording.signal) == {"EEG": 14, "ECG": 2}[modality]
        for rating, score in recording.ratings.items():
            assert score == person[f"Score{rating.capitalize()}"][0, 0][recording.clip - 1, 0]
    assert [r.record for r in found[:3]] == ["s01_c01_eeg", "s01_c01_ecg", "s01_c02_eeg"]
    assert found[-1].record == "s23_c18_ecg"


def test_baselines_come_ahead_of_their_clips(tmp_path: Path) -> None:
    dreamer = content()
    people = dreamer["Data"][0]
    people[0]["EEG"]["baseline"][2, 0][5, 5] = np.nan
    people[0]["ScoreValence"][1, 0] = np.nan  # of the clip alone
    path = save(tmp_path / "DREAMER.mat", dreamer)
    found = list(read_dreamer(path, DreamerData(read_baseline=True, eeg_unit_uv=0.5), simulated=False))
    assert [row.record for row in found[:4]] == [
        "s01_c01_baseline_eeg",
        "s01_c01_baseline_ecg",
        "s01_c01_eeg",
        "s01_c01_ecg",
    ]
    rejected = {row.record for row in found if isinstance(row, Rejected)}
    assert rejected == {"s01_c03_baseline_eeg", "s01_c02_eeg", "s01_c02_ecg"}
    rest = [row for row in found if isinstance(row, Recording) and row.clip < 0]
    assert len(rest) == 2 * 23 * 18 - 1
    for recording in rest:
        modality = recording.record[-3:].upper()
        wanted = people[int(recording.subject[1:]) - 1][modality]["baseline"][-recording.clip - 1, 0]
        scale = np.float32(0.5 if modality == "EEG" else 1.0)
        np.testing.assert_array_equal(recording.signal, wanted.astype(np.float32).T * scale)
        assert recording.ratings == {}
    plain = list(read_dreamer(path, DreamerData(eeg_unit_uv=0.5), simulated=False))
    assert [row.record for row in plain] == [row.record for row in found if "baseline" not in row.record]


def test_integers_and_single_precision_are_read_alike(tmp_path: Path) -> None:
    dreamer = content()  # MATLAB stores whole numbers in the smallest type, and may hold single precision
    for person in dreamer["Data"].ravel():
        person["ScoreValence"] = person["ScoreValence"].astype(np.uint8)
        for clip in range(18):
            person["EEG"]["stimuli"][clip, 0] = person["EEG"]["stimuli"][clip, 0].astype(np.float32)
            person["ECG"]["stimuli"][clip, 0] = person["ECG"]["stimuli"][clip, 0].astype(np.int16)
    found = list(read_dreamer(save(tmp_path / "DREAMER.mat", dreamer), DATA, simulated=False))
    np.testing.assert_array_equal(found[-1].signal, dreamer["Data"][0, 22]["ECG"]["stimuli"][17, 0].T)
    np.testing.assert_array_equal(found[-2].signal, dreamer["Data"][0, 22]["EEG"]["stimuli"][17, 0].T)


def test_the_simulated_file_goes_the_same_way(simulated: Path) -> None:
    found = list(read_dreamer(simulated, DATA, simulated=True))
    assert len(found) == 2 * 5 * 3
    for eeg, ecg in zip(found[::2], found[1::2], strict=True):
        assert eeg.signal.shape[1] / 128 == ecg.signal.shape[1] / 256


def test_clips_with_faults_are_rejected_by_name(tmp_path: Path) -> None:
    dreamer = content()
    people = dreamer["Data"][0]
    people[0]["ScoreValence"][1, 0] = np.nan
    people[1]["ScoreDominance"][2, 0] = 6
    people[2]["EEG"]["stimuli"][3, 0][5, 5] = np.nan
    people[3]["ECG"]["stimuli"][4, 0] = np.zeros((256 * 9, 2))
    people[4]["EEG"]["stimuli"][5, 0] = np.zeros((0, 0))
    people[5]["ECG"]["stimuli"][6, 0] = people[5]["ECG"]["stimuli"][6, 0][:144]  # 0.44 s short: cut, not rejected
    found = list(read_dreamer(save(tmp_path / "DREAMER.mat", dreamer), DATA, simulated=False))
    rejected = {row.record: row.reason for row in found if isinstance(row, Rejected)}
    assert len(found) == 2 * 23 * 18
    assert set(rejected) == {
        *("s01_c02_eeg", "s01_c02_ecg", "s02_c03_eeg", "s02_c03_ecg", "s03_c04_eeg"),
        *("s04_c05_eeg", "s04_c05_ecg", "s05_c06_eeg", "s05_c06_ecg"),
    }
    assert rejected["s01_c02_eeg"] == "valence rating is nan, expected 1 to 5"
    assert rejected["s02_c03_ecg"] == "dominance rating is 6, expected 1 to 5"
    assert rejected["s03_c04_eeg"].startswith("1 samples are NaN")
    assert "9.0 s" in rejected["s04_c05_ecg"]
    cut = {r.record: r.signal.shape for r in found if isinstance(r, Recording)}
    assert cut["s06_c07_eeg"] == (14, 72)
    assert cut["s06_c07_ecg"] == (2, 144)


def _without(*keys: str) -> Callable[[dict[str, Any]], Any]:
    def change(dreamer: dict[str, Any]) -> None:
        node: Any = dreamer
        for key in keys[:-1]:
            node = node[key][0, 3] if key == "Data" else node[key]
        del node[keys[-1]]

    return change


def _transposed(dreamer: dict[str, Any]) -> None:
    stimuli = dreamer["Data"][0, 6]["EEG"]["stimuli"]
    stimuli[2, 0] = stimuli[2, 0].T


def _thirteen_channels(dreamer: dict[str, Any]) -> None:
    stimuli = dreamer["Data"][0, 0]["EEG"]["stimuli"]
    stimuli[0, 0] = stimuli[0, 0][:, :13]


def _other_rate(dreamer: dict[str, Any]) -> None:
    dreamer["EEG_SamplingRate"] = 256.0


def _other_electrodes(dreamer: dict[str, Any]) -> None:
    dreamer["EEG_Electrodes"][0, 0] = "Fp1"


def _seventeen_scores(dreamer: dict[str, Any]) -> None:
    dreamer["Data"][0, 1]["ScoreArousal"] = dreamer["Data"][0, 1]["ScoreArousal"][:17]


def _data_is_numbers(dreamer: dict[str, Any]) -> None:
    dreamer["Data"] = np.eye(3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("Data"), r"looked for DREAMER\.Data, found the fields EEG_SamplingRate"),
        (_without("Data", "ECG"), r"looked for DREAMER\.Data\{4\}\.ECG, found the fields Age, Gender, EEG"),
        (_without("Data", "EEG", "stimuli"), r"looked for DREAMER\.Data\{4\}\.EEG\.stimuli, found the fields baseline"),
        (_without("Data", "ScoreValence"), r"DREAMER\.Data\{4\}\.ScoreValence"),
        (_transposed, r"Data\{7\}\.EEG\.stimuli\{3\}: time × 14 numbers, found 14×128 numbers \(time and channel"),
        (_thirteen_channels, r"Data\{1\}\.EEG\.stimuli\{1\}: time × 14 numbers, found 128×13 numbers"),
        (_other_rate, r"EEG_SamplingRate of 128 Hz, found \[256"),
        (_other_electrodes, r"EEG_Electrodes AF3 .* found Fp1 F7"),
        (_seventeen_scores, r"Data\{2\}\.ScoreArousal: numbers of 18 elements, found 17×1 numbers"),
        (_data_is_numbers, r"DREAMER\.Data: cell array of 23 elements, found 3×3 numbers"),
    ],
)
def test_another_structure_is_named(tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str) -> None:
    dreamer = content()
    change(dreamer)
    with pytest.raises(PhysiopipeError, match=message):
        list(read_dreamer(save(tmp_path / "DREAMER.mat", dreamer), DATA, simulated=False))


def test_the_real_file_has_23_subjects(tmp_path: Path) -> None:
    path = save(tmp_path / "DREAMER.mat", content(subjects=22))
    with pytest.raises(PhysiopipeError, match=r"cell array of 23 elements, found 1×22 cell array"):
        list(read_dreamer(path, DATA, simulated=False))


def test_a_mat_file_without_dreamer_names_its_variables(tmp_path: Path) -> None:
    path = tmp_path / "DEAP.mat"
    scipy.io.savemat(path, {"data": np.zeros((40, 8)), "labels": np.zeros(3)})
    with pytest.raises(PhysiopipeError, match="looked for the variable DREAMER, found data, labels"):
        list(read_dreamer(path, DATA, simulated=False))


def test_dreamer_that_is_no_struct(tmp_path: Path) -> None:
    with pytest.raises(PhysiopipeError, match="DREAMER: 1×1 struct, found 2×2 numbers"):
        list(read_dreamer(save(tmp_path / "DREAMER.mat", np.ones((2, 2))), DATA, simulated=False))


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><html>log in</html>" + b" " * 200, "web page"),
        (b"PK\x03\x04" + bytes(200), "zip archive"),
        (b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM" + bytes(400), r"7\.3 \(HDF5\)"),
        (b"subject,clip,valence\n" * 20, "begins with b'subject,'"),
        (b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"\x77" * 400, "element of type"),
    ],
)
def test_another_kind_of_file_is_named(tmp_path: Path, head: bytes, message: str) -> None:
    path = tmp_path / "DREAMER.mat"
    path.write_bytes(head)
    with pytest.raises(PhysiopipeError, match=message):
        list(read_dreamer(path, DATA, simulated=False))


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.9999])
def test_a_file_that_breaks_off_is_an_error(simulated: Path, tmp_path: Path, kept: float) -> None:
    whole = simulated.read_bytes()
    path = tmp_path / "DREAMER.mat"
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(PhysiopipeError, match="cannot be read: "):
        list(read_dreamer(path, DATA, simulated=True))


def test_damage_within_the_compressed_data_is_found(simulated: Path, tmp_path: Path) -> None:
    damaged = bytearray(simulated.read_bytes())
    damaged[-4] ^= 1  # the checksum no longer fits what it stands for
    path = tmp_path / "DREAMER.mat"
    path.write_bytes(damaged)
    with pytest.raises(PhysiopipeError, match="incorrect data check"):
        list(read_dreamer(path, DATA, simulated=True))


def test_a_missing_file_says_what_dreamer_is_and_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(PhysiopipeError, match=r"(?s)missing.*23 people.*546113.*data\.dreamer\.path"):
        read_dreamer(tmp_path / "DREAMER.mat", DATA, simulated=False)


def test_a_simulated_file_is_not_taken_for_the_real_one(simulated: Path, tmp_path: Path) -> None:
    with pytest.raises(PhysiopipeError, match=r"is a simulated file.*data\.dreamer\.origin"):
        list(read_dreamer(simulated, DATA, simulated=False))
    with pytest.raises(PhysiopipeError, match=r"is not a simulated file.*data\.dreamer\.origin"):
        list(read_dreamer(save(tmp_path / "DREAMER.mat", content()), DATA, simulated=True))


def test_big_endian_files_are_read(tmp_path: Path) -> None:
    """A level 5 file of a big-endian machine, written by hand: one 2×3 matrix of doubles, one text."""

    def element(kind: int, body: bytes) -> bytes:
        return np.array([kind, len(body)], ">u4").tobytes() + body + bytes(-len(body) % 8)

    def matrix(matlab_class: int, shape: list[int], name: bytes, data: bytes) -> bytes:
        flags = element(6, np.array([matlab_class, 0], ">u4").tobytes())
        return element(14, flags + element(5, np.array(shape, ">i4").tobytes()) + element(1, name) + data)

    numbers = matrix(6, [2, 3], b"numbers", element(9, np.arange(6, dtype=">f8").tobytes()))
    text = matrix(4, [1, 2], b"text", np.array([4, 4], ">u2")[::-1].tobytes() + "né".encode("utf-16-be"))
    path = tmp_path / "big.mat"
    path.write_bytes(
        b"MATLAB 5.0 MAT-file".ljust(124)
        + b"\x01\x00MI"
        + element(15, zlib.compress(numbers))[: 8 + len(zlib.compress(numbers))]
        + text
    )
    with open_mat(path) as (_, stream):
        head = stream.variable()
        assert head is not None
        np.testing.assert_array_equal(stream.numbers(head), np.arange(6).reshape(2, 3, order="F"))
        head = stream.variable()
        assert head is not None
        assert (head.name, stream.text(head)) == ("text", "né")
        assert stream.variable() is None
    np.testing.assert_array_equal(scipy.io.loadmat(path)["numbers"], np.arange(6).reshape(2, 3, order="F"))

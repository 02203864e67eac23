"""EDF files: as MNE-Python reads them, what is refused and why, and files that were written here."""

import os
from pathlib import Path

import mne
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physiopipe.recordings.edf import EdfSamples, in_unit, read_edf_header, read_edf_samples
from physiopipe.recordings.edf_stretches import EdfFile
from physiopipe.recordings.edf_writing import EdfChannel, edf_bytes
from physiopipe.recordings.recording import RejectedRecord

RATE = 50
CHANNELS = (EdfChannel("EEG Fp1", "uV", "HP:0.5Hz"), EdfChannel("ECG", "mV"), EdfChannel("Light", "lx"))
HEAD = 256 * (1 + len(CHANNELS) + 1)


def signals(seed: int = 0, seconds: int = 4) -> np.ndarray:
    size = np.array([[80.0], [1.5], [300.0]])
    return size * np.random.default_rng(seed).normal(size=(3, seconds * RATE)) + [[20], [0], [500]]


@pytest.fixture
def content() -> bytes:
    return edf_bytes(signals(), RATE, CHANNELS, "X F X somebody", "Startdate X X X recorder")


def put(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "made.edf"
    path.write_bytes(content)
    return path


def with_field(content: bytes, at: int, text: str, width: int = 8) -> bytes:
    return content[:at] + text.encode("latin-1").ljust(width) + content[at + width :]


def of_signal(content: bytes, field_start: int, number: int, text: str, width: int = 8) -> bytes:
    """Another text in a signal's header; `field_start`: bytes of a signal's fields before this one."""
    return with_field(content, 256 + field_start * (len(CHANNELS) + 1) + width * number, text, width)


def test_what_is_written_is_read_to_a_step_of_sixteen_bits(tmp_path: Path, content: bytes) -> None:
    path, signal = put(tmp_path, content), signals()
    header = read_edf_header(path)
    assert (header.patient, header.recording) == ("X F X somebody", "Startdate X X X recorder")
    assert (header.plus, header.records, header.record_s) == (True, 4, 1.0)
    assert header.labels == ("EEG Fp1", "ECG", "Light")
    assert header.signals[0].prefilter == "HP:0.5Hz"
    found = read_edf_samples(path, header.labels)
    assert (found.rate_hz, found.units, found.signal.dtype) == (RATE, ("uV", "mV", "lx"), np.float32)
    step = np.ptp(signal, axis=1, keepdims=True) / 65535
    assert (np.abs(found.signal - signal) < 0.51 * step + 1e-4 * np.abs(signal).max(axis=1, keepdims=True) * 0.1).all()
    turned = read_edf_samples(path, ("Light", "EEG Fp1"))
    np.testing.assert_array_equal(turned.signal, found.signal[[2, 0]])
    assert turned.units == ("lx", "uV")


def test_mne_reads_the_same(tmp_path: Path, content: bytes) -> None:
    path = put(tmp_path, content)
    raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
    assert raw.info["sfreq"] == RATE
    assert raw.ch_names == ["EEG Fp1", "ECG", "Light"]  # the channel of time stamps is none of them
    assert len(raw.annotations) == 0
    found = read_edf_samples(path, ("EEG Fp1", "ECG", "Light"))
    volt = np.array([[1e-6], [1e-3], [1.0]])
    np.testing.assert_allclose(found.signal * volt, raw.get_data(), rtol=1e-6, atol=1e-12)


def test_equal_signals_are_equal_bytes_and_a_constant_channel_is_one(tmp_path: Path, content: bytes) -> None:
    assert edf_bytes(signals(), RATE, CHANNELS, "X F X somebody", "Startdate X X X recorder") == content
    still = np.zeros((3, RATE))
    found = read_edf_samples(put(tmp_path, edf_bytes(still, RATE, CHANNELS, "X", "X")), ("EEG Fp1", "ECG"))
    assert not found.signal.any()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"signal": np.zeros((3, RATE + 1))}, "whole seconds"),
        ({"signal": np.full((3, RATE), np.nan)}, "finite"),
        ({"patient": "x" * 81}, "at most 80"),
        ({"recording": "naïve"}, "ASCII"),
        ({"signal": np.full((3, RATE), 1e9)}, "eight characters"),
    ],
)
def test_what_the_format_cannot_hold_is_not_written(change: dict[str, object], said: str) -> None:
    arguments = {"signal": signals(), "rate_hz": RATE, "channels": CHANNELS, "patient": "X", "recording": "X"}
    with pytest.raises(ValueError, match=said):
        edf_bytes(**(arguments | change))  # type: ignore[arg-type]


@pytest.mark.parametrize("unit", ["µV", "μV"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_micro_sign_is_one_in_either_encoding(tmp_path: Path, content: bytes, unit: str, encoding: str) -> None:
    try:
        text = unit.encode(encoding).decode("latin-1")
    except UnicodeEncodeError:
        text = "µV"  # latin-1 has one mu alone
    path = put(tmp_path, of_signal(content, 16 + 80, 0, text))
    np.testing.assert_array_equal(
        in_unit(read_edf_samples(path, ("EEG Fp1",)), "uV"),
        in_unit(read_edf_samples(put(tmp_path, content), ("EEG Fp1",)), "uV"),
    )


@pytest.mark.parametrize(("unit", "millivolts"), [("V", 1000.0), ("mV", 1.0), ("uV", 1e-3), ("nV", 1e-6)])
def test_voltages_are_brought_to_the_unit_wanted(unit: str, millivolts: float) -> None:
    samples = EdfSamples(("a", "b"), np.array([[1.0, -2.0], [4.0, 0.5]], np.float32), 100.0, (unit, "mV"))
    np.testing.assert_allclose(in_unit(samples, "mV"), samples.signal * [[millivolts], [1.0]], rtol=1e-6)


FAULTS: dict[str, tuple[int, str, int, str]] = {  # offset, text, width, what is said
    "another format": (0, "\xffBIOSEMI", 8, "no EDF file"),
    "gaps": (192, "EDF+D", 44, "EDF\\+D, with gaps"),
    "not closed": (236, "-1", 8, "number of data records"),
    "no signals": (252, "0", 4, "number of signals"),
    "header size": (184, "9999", 8, "says 9999"),
    "endless records": (236, "99999999", 8, "its header tells of"),
    "no length": (244, "0", 8, "last 0 s"),
    "length in words": (244, "long", 8, "length of a data record"),
    "nan": (244, "nan", 8, "length of a data record"),
    "too fast": (244, "1e-6", 8, "at most 100000 Hz"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_header_is_a_reason(tmp_path: Path, content: bytes, fault: str) -> None:
    at, text, width, said = FAULTS[fault]
    with pytest.raises(RejectedRecord, match=said):
        read_edf_samples(put(tmp_path, with_field(content, at, text, width)), ("ECG",))


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        (104, "1.5", "ECG has no range"),
        (104, "9e99", "physical_min of ECG"),
        (120, "40000", "digital_min of ECG"),
        (216, "0", "samples of ECG"),
    ],
)
def test_a_broken_signal_is_a_reason(tmp_path: Path, content: bytes, field: int, text: str, said: str) -> None:
    changed = of_signal(content, field, 1, text)
    if text == "1.5":
        changed = of_signal(changed, 112, 1, text)
    with pytest.raises(RejectedRecord, match=said):
        read_edf_samples(put(tmp_path, changed), ("EEG Fp1",))


def test_channels_that_cannot_be_had_together_are_named(tmp_path: Path, content: bytes) -> None:
    path = put(tmp_path, content)
    with pytest.raises(RejectedRecord, match=r"has no channel Cz; it has: EEG Fp1, ECG, Light"):
        read_edf_samples(path, ("ECG", "Cz"))
    with pytest.raises(RejectedRecord, match="has no channel EDF Annotations"):
        read_edf_samples(path, ("EDF Annotations",))
    with pytest.raises(RejectedRecord, match="Light in lx; expected voltages"):
        in_unit(read_edf_samples(path, ("ECG", "Light")), "mV")
    with pytest.raises(RejectedRecord, match="more than one channel ECG"):
        read_edf_samples(put(tmp_path, of_signal(content, 0, 0, "ECG", 16)), ("ECG",))
    slower = of_signal(of_signal(content, 216, 0, str(RATE - 10)), 216, 1, str(RATE + 10))  # as many bytes
    with pytest.raises(RejectedRecord, match="different rates: EEG Fp1 40 Hz, ECG 60 Hz"):
        read_edf_samples(put(tmp_path, slower), ("EEG Fp1", "ECG"))


@settings(deadline=None, max_examples=200)
@given(at=st.integers(0, HEAD - 1), junk=st.binary(min_size=1, max_size=40), cut=st.integers(0, 2000))
def test_damage_is_a_reason_or_a_recording_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, at: int, junk: bytes, cut: int
) -> None:
    whole = edf_bytes(signals(), RATE, CHANNELS, "X", "X")
    reasons: list[str] = []
    for broken in (whole[:at] + junk + whole[at + len(junk) :], whole[:cut]):
        path = tmp_path_factory.getbasetemp() / "broken.edf"
        path.write_bytes(broken)
        try:
            found = read_edf_samples(path, ("ECG",))
        except RejectedRecord as error:
            reasons.append(error.reason)
        else:
            assert found.signal.shape[0] == 1
            assert np.isfinite(found.signal).all()
    assert reasons, "a file that is cut short is never read"
    assert all("broken.edf" in reason for reason in reasons)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RejectedRecord, match=r"none\.edf is missing"):
        read_edf_header(tmp_path / "none.edf")
    with pytest.raises(RejectedRecord, match="is not a file"):
        read_edf_header(tmp_path)


@pytest.mark.sample
@pytest.mark.parametrize("name", ["eegmat/1.0.0/Subject10_2.edf", "multimodal/psg_eeg_ecg_120s.edf"])
def test_real_files_are_read_as_mne_reads_them(name: str) -> None:
    sample = os.environ.get("PHYSIOPIPE_SAMPLE_DIR")
    if not sample:
        pytest.skip("PHYSIOPIPE_SAMPLE_DIR is not set")
    path = Path(sample) / name
    header = read_edf_header(path)
    raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
    same = [
        s for s in header.signals if s.samples / header.record_s == raw.info["sfreq"] and s.unit in ("uV", "mV", "V")
    ]
    assert len(same) >= 20
    assert raw.info["sfreq"] == read_edf_samples(path, (same[0].label,)).rate_hz
    for signal in same:
        volts = in_unit(read_edf_samples(path, (signal.label,)), "uV")[0] * 1e-6
        expected = raw.get_data(picks=[signal.label])[0]
        np.testing.assert_allclose(volts, expected, atol=2e-7 * np.abs(expected).max(), rtol=1e-6)


def test_padding_is_where_channels_of_every_rate_are_still(tmp_path: Path) -> None:
    """EEG at 40 Hz ends after 2 s, ECG at 60 Hz after 3 s of 4: the EEG is flat for a second, as in `of_one_file`."""
    made = edf_bytes(signals(), RATE, CHANNELS, "X X X X", "Startdate X X X X", plus=False)
    head = bytearray(made[: 256 * (1 + len(CHANNELS))])
    for number, samples in enumerate((40, 60)):
        at = 256 + 216 * len(CHANNELS) + 8 * number
        head[at : at + 8] = str(samples).encode().ljust(8)
    random = np.random.default_rng(0)
    records = random.integers(-9000, 9000, (4, 40 + 60 + RATE)).astype("<i2")
    records[2:, :40], records[3:, 40:100], records[:, 100:] = records[1, 39], records[2, 99], 7
    file = EdfFile(put(tmp_path, bytes(head) + records.tobytes()))
    assert [each.rate_hz for each in file.channels] == [40, 60, RATE]
    assert [file.samples([row]).shape[1] / each.rate_hz for row, each in enumerate(file.channels)] == [3, 3, 3]

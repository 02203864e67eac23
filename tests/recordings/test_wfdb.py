"""Challenge records against wfdb itself, and whatever else a header and its samples may hold."""

import os
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import wfdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from physiopipe.errors import PhysiopipeError
from physiopipe.recordings.recording import Recording, RejectedRecord
from physiopipe.recordings.wfdb import read_header, read_wfdb_record

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
OF_THE_SAMPLE = pytest.mark.sample


def sample() -> Path:
    name = os.environ.get("PHYSIOPIPE_SAMPLE_DIR")
    if not name:
        pytest.skip("PHYSIOPIPE_SAMPLE_DIR is not set")
    return Path(name)


def heartbeat(samples: int = 1000, leads: int = 12) -> npt.NDArray[np.int16]:
    """int16 (lead, time), about 1 mV at 1000 units/mV."""
    ramp = np.abs(np.arange(samples) % 400 - 200)
    return np.stack([(ramp * (lead + 3) // 3).astype(np.int16) for lead in range(leads)])


def write_record(
    folder: Path,
    signal: npt.NDArray[np.int16] | None = None,
    *,
    name: str = "E00001",
    names: tuple[str, ...] = LEADS,
    first: str | None = None,
    form: str = "16+24",
    gain: str = "1000/mV",
    file_name: str | None = None,
    comments: str = "#Age: 53\n#Sex: Female\n#Dx: 426783006\n",
    rate: str = "500",
    announced: int | None = None,
    sums: bool = True,
) -> Path:
    signal = heartbeat() if signal is None else signal
    length = signal.shape[1] if announced is None else announced
    lines = [first or f"{name} {len(signal)} {rate} {length} 05-May-2020 14:50:55"]
    for row, lead in zip(signal, names, strict=False):
        total = (int(row.astype(np.int64).sum()) + 32768) % 65536 - 32768
        lines.append(f"{file_name or f'{name}.mat'} {form} {gain} 16 0 {row[0]} {total if sums else ''} 0 {lead}")
        if not sums:
            lines[-1] = f"{file_name or f'{name}.mat'} {form} {gain}"
    hea = folder / f"{name}.hea"
    hea.write_text("\n".join(lines) + "\n" + comments)
    words = np.array([30, len(signal), signal.shape[1], 0, 4], "<u4")
    (folder / f"{name}.mat").write_bytes(words.tobytes() + b"val\0" + signal.T.astype("<i2").tobytes())
    return hea


def reason_of(hea: Path) -> str:
    with pytest.raises(RejectedRecord) as rejected:
        read_wfdb_record(hea, "georgia")
    assert rejected.value.reason == str(rejected.value)
    assert "\n" not in rejected.value.reason
    return rejected.value.reason


# ------------------------------------------------------------------------------------------------ against wfdb


@OF_THE_SAMPLE
def test_every_real_record_is_what_wfdb_reads() -> None:
    headers = sorted((sample() / "challenge-2021").rglob("*.hea"))
    assert len(headers) == 166
    for hea in headers:
        expected = wfdb.rdrecord(str(hea.with_suffix("")))
        found = read_wfdb_record(hea, hea.parent.parent.name)
        assert found.signal.dtype == np.float32
        assert found.signal.flags.writeable
        assert found.channels == tuple(expected.sig_name) == LEADS
        assert (found.rate_hz, found.unit, found.record) == (expected.fs, "mV", hea.stem)
        assert found.flags == ()
        np.testing.assert_allclose(found.signal, expected.p_signal.T, rtol=2e-7, atol=1e-9)


@OF_THE_SAMPLE
def test_headers_of_early_2020_are_what_wfdb_reads_once_their_record_line_is_mended(tmp_path: Path) -> None:
    headers = sorted((sample() / "challenge-2020-headers").glob("*.hea"))
    assert len(headers) == 12
    flagged = {}
    for hea in headers:
        first, rest = hea.read_text().split("\n", 1)
        (tmp_path / hea.name).write_text(first.replace(".mat ", " ") + "\n" + rest)
        shutil.copy(hea.with_suffix(".mat"), tmp_path)
        expected = wfdb.rdrecord(str(tmp_path / hea.stem))
        found = read_wfdb_record(hea, "georgia")
        np.testing.assert_allclose(found.signal, expected.p_signal.T, rtol=2e-7, atol=1e-9)
        assert found.record == hea.stem
        flagged[hea.stem] = found.flags
    assert {name for name, flags in flagged.items() if flags} == {"HR00599"}  # 200/mV over samples that are 1000/mV
    assert flagged["HR00599"] == ("amplitude",)


@pytest.mark.parametrize(
    "gain", ["1000/mV", "1000/mv", "1000.0(0)/mV", "4880/mV", "200(-17)/mV", "1e3/mV", "250.5(12)/mv"]
)
@pytest.mark.parametrize("form", ["16+24", "16x1+24"])
def test_published_ways_to_write_a_header_read_as_wfdb_reads_them(tmp_path: Path, gain: str, form: str) -> None:
    hea = write_record(tmp_path, gain=gain, form=form)
    expected = wfdb.rdrecord(str(hea.with_suffix("")))
    np.testing.assert_allclose(read_wfdb_record(hea, "ptb").signal, expected.p_signal.T, rtol=1e-6, atol=1e-7)


def test_microvolt_become_millivolt(tmp_path: Path) -> None:
    found = read_wfdb_record(write_record(tmp_path, gain="1/uV"), "ptb")
    assert found.unit == "mV"
    np.testing.assert_allclose(found.signal, heartbeat() / 1000, rtol=1e-6)


def test_an_adc_zero_is_the_baseline_where_none_is_given(tmp_path: Path) -> None:
    hea = write_record(tmp_path)
    hea.write_text(hea.read_text().replace("1000/mV 16 0 ", "1000/mV 16 50 "))
    expected = wfdb.rdrecord(str(hea.with_suffix("")))
    np.testing.assert_allclose(read_wfdb_record(hea, "ptb").signal, expected.p_signal.T, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("mark", ["#", "# ", "#\t"])
def test_comments_are_read_with_and_without_a_space_and_blank(tmp_path: Path, mark: str) -> None:
    header = read_header(write_record(tmp_path, comments=f"{mark}Age: 53\n{mark}Dx: 426783006,59118001\n{mark}Rx:\n"))
    assert header.comments == {"age": "53", "dx": "426783006,59118001", "rx": ""}


def test_windows_line_ends_and_blank_lines_are_read(tmp_path: Path) -> None:
    hea = write_record(tmp_path)
    expected = read_wfdb_record(hea, "ptb")
    hea.write_bytes(hea.read_bytes().replace(b"\n", b"\r\n\r\n"))
    np.testing.assert_array_equal(read_wfdb_record(hea, "ptb").signal, expected.signal)


def test_a_record_with_eleven_leads_or_all_zero_is_read_as_it_is(tmp_path: Path) -> None:
    assert read_wfdb_record(write_record(tmp_path, heartbeat(leads=11)), "ptb").channels == LEADS[:11]
    zero = read_wfdb_record(write_record(tmp_path, np.zeros((12, 500), np.int16)), "ptb")
    assert not zero.signal.any()
    assert zero.flags == ()


@pytest.mark.parametrize(
    ("gain", "flags"), [("1000/mV", ()), ("2000000/mV", ("amplitude",)), ("50/mV", ("amplitude",))]
)
def test_a_gain_out_of_physiological_range_is_flagged_and_not_corrected(
    tmp_path: Path, gain: str, flags: tuple[str, ...]
) -> None:
    found = read_wfdb_record(write_record(tmp_path, gain=gain), "ptb")
    assert found.flags == flags
    np.testing.assert_allclose(found.signal, heartbeat() / float(gain.split("/")[0]), rtol=1e-6)


# ------------------------------------------------------------------------------------------------ what is rejected


@pytest.mark.parametrize(
    ("gain", "reason"),
    [
        ("1000", "no usable unit"),
        ("1000/V", "no usable unit for I: 'V'"),
        ("1000/mmHg", "no usable unit for I: 'mmHg'"),
        ("0/mV", "no usable gain"),
        ("-5/mV", "no usable gain"),
        ("nan/mV", "unreadable gain"),
        ("1e999/mV", "no usable gain|unreadable gain"),
        ("1000()/mV", "unreadable gain"),
    ],
)
def test_no_unit_and_no_gain_is_ever_guessed(tmp_path: Path, gain: str, reason: str) -> None:
    assert any(part in reason_of(write_record(tmp_path, gain=gain)) for part in reason.split("|"))


def test_a_header_without_gain_is_rejected(tmp_path: Path) -> None:
    hea = write_record(tmp_path)
    hea.write_text("E00001 1 500 1000\nE00001.mat 16+24\n")
    (tmp_path / "E00001.mat").write_bytes((tmp_path / "E00001.mat").read_bytes()[: 24 + 2000])
    assert reason_of(hea)


@pytest.mark.parametrize(
    "file_name",
    [
        "../E00001.mat",
        "/etc/passwd",
        "..",
        ".",
        "sub/E00001.mat",
        "~/x.mat",
        "E00001.mat\0",
        "C:\\x.mat",
        ".hidden",
        "é",
    ],
)
def test_a_header_that_names_a_file_elsewhere_is_rejected(tmp_path: Path, file_name: str) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    hea = write_record(inner, file_name=file_name)
    shutil.copy(inner / "E00001.mat", tmp_path)
    assert "unsafe file" in reason_of(hea)


@pytest.mark.parametrize("length", [0, 23, 24, 24 + 24_000 - 1, 24 + 24_000 + 1])
def test_a_truncated_or_longer_mat_is_rejected_with_both_sizes(tmp_path: Path, length: int) -> None:
    hea = write_record(tmp_path)
    mat = hea.with_suffix(".mat")
    mat.write_bytes((mat.read_bytes() + b"\0")[:length])
    assert reason_of(hea) == f"E00001.mat holds {length} bytes, expected 24024"


@pytest.mark.parametrize("announced", [999, 1001, 1, 999_999_999])
def test_a_header_that_lies_about_its_length_is_rejected(tmp_path: Path, announced: int) -> None:
    assert "holds 24024 bytes, expected" in reason_of(write_record(tmp_path, announced=announced))


def test_a_mat_of_another_shape_and_the_same_size_is_rejected(tmp_path: Path) -> None:
    hea = write_record(tmp_path, heartbeat(1200, 10), names=LEADS[:10])
    write_record(tmp_path / "..", heartbeat(1000, 12), name=f"{tmp_path.name}")
    shutil.copy(tmp_path.parent / f"{tmp_path.name}.mat", tmp_path / "E00001.mat")
    assert "says it holds 12 x 1000 values" in reason_of(hea)


def test_another_records_samples_are_rejected_by_their_checksum(tmp_path: Path) -> None:
    hea = write_record(tmp_path)
    mat = hea.with_suffix(".mat")
    content = bytearray(mat.read_bytes())
    content[24] ^= 1
    mat.write_bytes(content)
    assert reason_of(hea).startswith("checksum of I is ")


def test_a_header_without_checksums_is_read(tmp_path: Path) -> None:
    assert read_wfdb_record(write_record(tmp_path, sums=False), "ptb").signal.shape == (12, 1000)


def test_invalid_samples_are_rejected_as_nan(tmp_path: Path) -> None:
    signal = heartbeat()
    signal[3, 10:14] = -32768
    hea = write_record(tmp_path, signal)
    assert np.isnan(wfdb.rdrecord(str(hea.with_suffix(""))).p_signal).sum() == 4
    assert reason_of(hea) == "NaN: 4 samples are marked invalid"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("# only a comment\n", "is empty"),
        ("E00001\n", "no record line"),
        ("E00001 12 500\n", "no record line"),
        ("E00001/3 12 500 1000\n", "multi-segment"),
        ("E00001 0 500 1000\n", "number of signals"),
        ("E00001 12 0 1000\n", "sampling rate"),
        ("E00001 12 -5 1000\n", "sampling rate"),
        ("E00001 12 nan 1000\n", "sampling rate"),
        ("E00001 12 1e9 1000\n", "sampling rate"),
        ("E00001 12 500 0\n", "number of samples"),
        ("E00001 12 500 12.5\n", "number of samples"),
        ("E00001 12 500 1000\n", "announces 12 signals and describes 0"),
        ("E00001 1 500 1000\nE00001.mat\n", "unreadable signal line"),
        ("E00001 1 500 1000\nE00001.mat x\n", "unreadable sample format"),
        ("E00001 1 500 1000\nE00001.mat 212 1000/mV\n", "WFDB format 212"),
        ("E00001 1 500 1000\nE00001.mat 16x2+24 1000/mV\n", "2 a frame"),
        ("E00001 1 500 1000\nE00001.mat 16:7+24 1000/mV\n", "skew 7"),
        ("E00001 1 500 1000\nE00001.mat 16+24 1000/mV 16 zero\n", "whole number"),
        ("E00001 1 500 1000\nE00001.mat 16+24 1000/mV 16 99999999999999999999\n", "whole number"),
        ("E00001 2 500 1000\nE00001.mat 16+24 1000/mV\nE00002.mat 16+24 1000/mV\n", "more than one file"),
        ("\0\1\2\xff" * 40, "no record line"),
        ("\0\1\2\xff" * 100, "a field of 400 characters"),
        ("E00001 1 500 1000\nE00001.mat 16+24 1000/mV 16 1_000\n", "whole number"),
        ("E00001 1001 500 1000\n", "number of signals"),
    ],
)
def test_headers_that_are_none_are_rejected_with_the_reason(tmp_path: Path, content: str, reason: str) -> None:
    hea = write_record(tmp_path)
    hea.write_text(content)
    assert reason in reason_of(hea)


@pytest.mark.timeout(20)  # a pattern that tries every split of a million digits would take hours
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (" 0 V1\n", f" 0 {'V' * 140_000}\n"),
        (" 0 V1\n", " 0 V1\0\n"),
        (" 0 V1\n", " 0 V1\u2028V1\n"),
        (" 0 V1\n", " 0 V1\x0bV1\n"),
        (" 0 V1\n", " 0 V1\x1b[2J\n"),
        (" 12 500 ", f" 12 {'9' * 5000} "),
        (" 12 500 ", f" 12 {'9' * 500_000}x "),
        (" 12 500 ", f" {'9' * 5000} 500 "),
        (" 500 1000 ", f" 500 {'9' * 5000} "),
        (" 16+24 ", f" 16+{'9' * 5000} "),
        (" 1000/mV ", f" {'9' * 5000}/mV "),
        (" 1000/mV ", f" {'9' * 500_000}x/mV "),
        (" 1000/mV ", f" 1000/{'m' * 5000}V "),
        (" 1000/mV ", f" 1000({'9' * 5000})/mV "),
        (" 16 0 ", f" 16 {'9' * 5000} "),
        ("E00001.mat ", f"{'E' * 5000}.mat "),
    ],
)
def test_an_absurd_field_is_rejected_soon_and_in_short(tmp_path: Path, old: str, new: str) -> None:
    hea = write_record(tmp_path)
    assert old in hea.read_text()
    hea.write_bytes(hea.read_text().replace(old, new).encode())
    assert len(reason := reason_of(hea)) < 300
    assert reason.isprintable()


def test_a_missing_file_is_rejected_and_a_folder_is_no_file(tmp_path: Path) -> None:
    hea = write_record(tmp_path)
    hea.with_suffix(".mat").unlink()
    assert reason_of(hea) == "E00001.mat is missing"
    hea.with_suffix(".mat").mkdir()
    assert reason_of(hea) == "E00001.mat is not a file"
    assert reason_of(tmp_path / "none.hea") == "none.hea is missing"


def test_a_fifo_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "E00001.hea")
    assert reason_of(tmp_path / "E00001.hea") == "E00001.hea is not a file"


def test_a_file_that_the_system_does_not_give_stops_the_batch(tmp_path: Path) -> None:
    hea = tmp_path / "E00001.hea"
    hea.symlink_to(hea)
    with pytest.raises(PhysiopipeError, match="cannot be read"):
        read_wfdb_record(hea, "georgia")


# ---------------------------------------------------------------------------------------------- whatever else comes

TOKENS = st.one_of(
    st.sampled_from(
        ["E00001", "E00001.mat", "12", "1", "2", "500", "16+24", "16x1+24", "1000/mV", "1000(5)/uV", "0", "-1"]
    ),
    st.sampled_from(
        ["../x", "1e308", "1/mV", "1e-6/mV", "1e12/mV", "16", "16+0", "99999999999", "\u0663", "1_0", "#", "/"]
    ),
    st.text(max_size=6),
)
LINES = st.lists(st.lists(TOKENS, max_size=10).map(" ".join), max_size=5).map("\n".join)
FEW = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_anything(folder: Path, header: bytes, content: bytes) -> None:
    (folder / "E00001.hea").write_bytes(header)
    (folder / "E00001.mat").write_bytes(content)
    try:
        found = read_wfdb_record(folder / "E00001.hea", "georgia")
    except RejectedRecord:
        return
    assert isinstance(found, Recording)
    assert found.signal.dtype == np.float32
    assert found.signal.shape[0] == len(found.channels)
    assert np.isfinite(found.signal).all()
    assert found.rate_hz > 0


@FEW
@given(
    header=st.one_of(LINES.map(lambda text: text.encode("utf-8", "ignore")), st.binary(max_size=200)),
    content=st.binary(max_size=80),
)
def test_any_header_gives_a_recording_or_a_reason(tmp_path: Path, header: bytes, content: bytes) -> None:
    read_anything(tmp_path, header, content)


@FEW
@given(data=st.data())
def test_a_good_record_with_any_damage_gives_a_recording_or_a_reason(tmp_path: Path, data: st.DataObject) -> None:
    hea = write_record(tmp_path, heartbeat(20, 2), names=LEADS[:2], sums=data.draw(st.booleans()))
    header, content = bytearray(hea.read_bytes()), bytearray(hea.with_suffix(".mat").read_bytes())
    for target in (header, content):
        for _ in range(data.draw(st.integers(0, 3))):
            if target:
                target[data.draw(st.integers(0, len(target) - 1))] = data.draw(st.integers(0, 255))
        if data.draw(st.integers(0, 4)) == 0:
            del target[data.draw(st.integers(0, len(target))) :]
    read_anything(tmp_path, bytes(header), bytes(content))


@FEW
@given(
    values=st.lists(st.integers(-32767, 32767), min_size=6, max_size=60).map(lambda v: v[: len(v) // 2 * 2]),
    gain=st.floats(1e-3, 1e6),
    baseline=st.integers(-40000, 40000),
    rate=st.sampled_from([257, 500, 1000, 499.5]),
)
def test_any_samples_gain_and_baseline_come_out_as_defined(
    tmp_path: Path, values: list[int], gain: float, baseline: int, rate: float
) -> None:
    signal = np.array(values, np.int16).reshape(2, -1)
    hea = write_record(tmp_path, signal, names=("I", "II"), gain=f"{gain!r}({baseline})/mV", rate=f"{rate}")
    found = read_wfdb_record(hea, "georgia")
    np.testing.assert_allclose(found.signal, (signal.astype(float) - baseline) / gain, rtol=1e-6)
    assert found.rate_hz == rate

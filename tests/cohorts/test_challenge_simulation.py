"""The simulated Challenge tree: wfdb agrees with it, its leads obey Einthoven, its hearts beat as their codes say."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import wfdb

from physiopipe.cohorts.challenge import SOURCES, SimulateChallenge
from physiopipe.cohorts.challenge_simulation import LEADS, RHYTHMS, simulate_challenge, simulate_leads
from physiopipe.errors import PhysiopipeError
from physiopipe.params import Quality
from physiopipe.signals.quality import Judged, RecordQuality, measure_blocks

RATES = {"ptb": 1000, "st_petersburg_incart": 257}
PARAMS = SimulateChallenge(records_per_source=4, max_length_s=30, seed=1)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("challenge") / "tree"
    simulate_challenge(root / "SHA256SUMS.txt", PARAMS)
    return root


def names(tree: Path, source: str) -> list[str]:
    return (tree / "training" / source / "g1" / "RECORDS").read_text().split()


def spoiled(source: str, position: int) -> bool:
    return (source, position) in {("georgia", 2), ("cpsc_2018", 3)}


def rr_of(lead: np.ndarray, rate_hz: int) -> np.ndarray:
    band = scipy.signal.butter(2, [5, 25], "bandpass", output="sos", fs=rate_hz)
    steep = np.abs(np.gradient(scipy.signal.sosfiltfilt(band, lead)))
    peaks, _ = scipy.signal.find_peaks(steep, height=0.4 * np.quantile(steep, 0.995), distance=int(0.28 * rate_hz))
    return np.diff(peaks) / rate_hz


def test_the_tree_is_laid_out_as_published(tree: Path) -> None:
    assert (tree / "RECORDS").read_text().splitlines() == [f"training/{source}/g1/" for source in SOURCES]
    listed = dict(line.split(" ", 1)[::-1] for line in (tree / "SHA256SUMS.txt").read_text().splitlines())
    there = {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()} - {"SHA256SUMS.txt"}
    assert set(listed) == there
    assert len(there) == 1 + len(SOURCES) * (1 + 2 * PARAMS.records_per_source)
    for relative, digest in listed.items():
        assert hashlib.sha256((tree / relative).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("source", SOURCES)
def test_wfdb_reads_every_record_and_agrees_with_its_header(tree: Path, source: str) -> None:
    for position, name in enumerate(names(tree, source)):
        path = str(tree / "training" / source / "g1" / name)
        if source == "georgia" and spoiled(source, position):
            with pytest.raises(ValueError, match=r"."):
                wfdb.rdrecord(path)
            continue
        record = wfdb.rdrecord(path, physical=False)
        assert record.sig_name == list(LEADS)
        assert record.fs == RATES.get(source, 500)
        assert {unit.lower() for unit in record.units} == {"mv"}
        assert record.adc_gain == [1000.0] * 12
        assert record.init_value == record.d_signal[0].tolist()
        assert [sum_ % 65536 for sum_ in record.checksum] == record.calc_checksum()  # published ones are signed
        assert PARAMS.min_length_s <= record.sig_len / record.fs <= PARAMS.max_length_s
        assert "simulated by physiopipe" in record.comments
        (diagnosis,) = (line.removeprefix("Dx: ") for line in record.comments if line.startswith("Dx: "))
        assert diagnosis in {code for code, _, _ in RHYTHMS.values()}
        if spoiled(source, position):
            assert np.isnan(wfdb.rdrecord(path).p_signal[:, 7]).sum() == 250


@pytest.mark.parametrize("source", SOURCES)
def test_limb_leads_obey_einthoven_and_goldberger(tree: Path, source: str) -> None:
    for position, name in enumerate(names(tree, source)):
        if spoiled(source, position):
            continue
        d = wfdb.rdrecord(str(tree / "training" / source / "g1" / name), physical=False).d_signal.astype(np.int64).T
        one, two, three, avr, avl, avf = d[:6]
        np.testing.assert_array_equal(three, two - one)
        assert np.abs(2 * avr + one + two).max() <= 1  # half a unit
        assert np.abs(2 * avl - 2 * one + two).max() <= 1
        assert np.abs(2 * avf - 2 * two + one).max() <= 1
        assert 100 < np.ptp(one) < 15000  # 0.1 to 15 mV


@pytest.mark.parametrize("rhythm", RHYTHMS)
def test_hearts_beat_as_their_code_says(rhythm: str) -> None:
    low, high = RHYTHMS[rhythm][2]
    rates, irregular = [], []
    for seed in range(8):
        leads = simulate_leads(np.random.default_rng([5, seed]), rhythm, 30 * 500, 500, 50)
        rr = rr_of(leads[10].astype(float), 500)
        rates.append(60 / rr.mean())
        irregular.append(rr.std() / rr.mean())
    assert low * 0.9 <= np.median(rates) <= high * 1.1
    spread = np.median(irregular)
    if rhythm == "atrial_fibrillation":
        assert spread > 0.15
    elif rhythm.endswith("premature"):
        assert spread > 0.1
    else:
        assert spread < 0.07


@pytest.mark.parametrize(("mains_hz", "other_hz"), [(50, 60), (60, 50)])
def test_mains_has_the_country_s_frequency(mains_hz: float, other_hz: float) -> None:
    share = []
    for seed in range(12):
        leads = simulate_leads(np.random.default_rng(seed), "sinus", 5000, 500, mains_hz)
        frequency, power = scipy.signal.welch(leads.astype(float), 500, nperseg=1000)
        near = power[:, np.abs(frequency - mains_hz) <= 0.5].sum(axis=1)
        share.append(np.median(near / power[:, np.abs(frequency - other_hz) <= 0.5].sum(axis=1)))
    assert np.median(share) > 3


def test_the_same_seed_gives_the_same_bytes_and_more_records_change_none(tree: Path, tmp_path: Path) -> None:
    again, fewer = tmp_path / "again", tmp_path / "fewer"
    simulate_challenge(again / "SHA256SUMS.txt", PARAMS)
    simulate_challenge(again / "SHA256SUMS.txt", PARAMS)  # takes the earlier tree's place
    simulate_challenge(fewer / "SHA256SUMS.txt", PARAMS.model_copy(update={"records_per_source": 2}))
    assert (again / "SHA256SUMS.txt").read_bytes() == (tree / "SHA256SUMS.txt").read_bytes()
    few = {line for line in (fewer / "SHA256SUMS.txt").read_text().splitlines() if ".hea" in line}
    assert few <= set((tree / "SHA256SUMS.txt").read_text().splitlines())


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(PhysiopipeError, match=r"thesis\.tex"):
        simulate_challenge(tmp_path / "SHA256SUMS.txt", PARAMS)
    assert (tmp_path / "thesis.tex").exists()


def test_no_two_sources_share_a_record_name(tmp_path: Path) -> None:
    simulate_challenge(tmp_path / "tree" / "SHA256SUMS.txt", SimulateChallenge(records_per_source=3, max_length_s=6.0))
    names = [path.stem for path in (tmp_path / "tree").rglob("*.hea")]
    assert len(names) == len(set(names)) == 24


def test_baselines_wander_as_those_of_real_records_do() -> None:
    """RMS of what a 0.5 Hz high-pass leaves of the part under 0.5 Hz: quartiles over 361 published records of each
    record's median over leads and windows; 3 % of their windows carry the flag (docs/data.md)."""
    left, flagged = [], 0
    for seed in range(240):
        leads = simulate_leads(np.random.default_rng([11, seed]), "sinus", 2500, 250, 50) / np.float32(1000)
        blocks = measure_blocks(leads, 250.0, Judged(50.0, 0.5, 3))
        left.append(np.sqrt(np.median(blocks.values[5].mean(axis=1))))
        quality = RecordQuality(blocks, missing=np.zeros(12, bool), limits=Quality())
        flagged += quality.flags(np.zeros(1), 10.0).flags["wander"].all()
    for found, real_mv in zip(np.quantile(left, [0.25, 0.5, 0.75]), (0.0013, 0.0019, 0.0033), strict=True):
        assert 0.65 < found / real_mv < 1.5
    assert 0 < flagged < 0.1 * 240

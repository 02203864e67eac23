import subprocess
import sys

import numpy as np
import pytest

from physiopipe.cohorts.dreamer import EEG_CHANNELS
from physiopipe.errors import PhysiopipeError
from physiopipe.recordings.montage import as_mne, positions_m
from physiopipe.recordings.recording import Recording


def test_every_dreamer_electrode_has_its_place() -> None:
    found = positions_m(EEG_CHANNELS)
    assert tuple(found) == EEG_CHANNELS
    place = np.array(list(found.values()))
    assert (np.linalg.norm(place, axis=1) > 0.05).all()  # on a head, in metres
    assert (np.linalg.norm(place, axis=1) < 0.15).all()
    side = {name: right for name, (right, _, _) in found.items()}
    front = {name: ahead for name, (_, ahead, _) in found.items()}
    for name in EEG_CHANNELS:  # odd numbers are on the left
        assert (side[name] < 0) == (int(name[-1]) % 2 == 1)
    assert front["AF3"] > front["F3"] > front["T7"] > front["P7"] > front["O1"]
    for left, right in (("AF3", "AF4"), ("F7", "F8"), ("FC5", "FC6"), ("T7", "T8"), ("P7", "P8"), ("O1", "O2")):
        np.testing.assert_allclose(found[left], np.array(found[right]) * [-1, 1, 1], atol=0.012)
    with pytest.raises(PhysiopipeError, match="no position is known for XX"):
        positions_m(("AF3", "XX"))


def test_mne_gets_volts_and_the_montage() -> None:
    signal = np.random.default_rng(0).normal(0, 20, (14, 1280)).astype(np.float32)
    raw = as_mne(Recording(signal, 128.0, EEG_CHANNELS, "uV", "dreamer", "s01_c01_eeg", "s01", 1))
    np.testing.assert_allclose(raw.get_data() * 1e6, signal, rtol=1e-6)
    placed = raw.get_montage().get_positions()["ch_pos"]
    assert set(placed) == set(EEG_CHANNELS)
    assert all(np.isfinite(place).all() for place in placed.values())
    ecg = Recording(signal[:2], 256.0, ("II", "III"), "unspecified", "dreamer", "s01_c01_ecg", "s01", 1)
    with pytest.raises(PhysiopipeError, match="its unit is unspecified"):
        as_mne(ecg)


def test_mne_is_imported_by_whoever_asks_and_no_sooner() -> None:
    code = "import sys, physiopipe.recordings.montage, physiopipe.recordings.edf; print('mne' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

import subprocess
import sys

import numpy as np
import pytest

from physiopipe.cohorts.dreamer import EEG_CHANNELS
from physiopipe.errors import PhysiopipeError
from physiopipe.recordings.montage import positions_m


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


def test_mne_is_imported_by_whoever_asks_and_no_sooner() -> None:
    code = "import sys, physiopipe.recordings.montage, physiopipe.recordings.edf; print('mne' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

"""Leads by name, derivation by Einthoven and Goldberger, refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from physiopipe.errors import PhysiopipeError
from physiopipe.signals.leads import CLINICAL_LEADS, canonical_lead, to_clinical_order


@pytest.mark.parametrize(
    ("name", "lead"),
    [
        ("I", "I"),
        ("ii", "II"),
        ("MLII", "II"),
        ("AVR", "aVR"),
        ("avl", "aVL"),
        ("Lead I", "I"),
        ("lead_II", "II"),
        ("LEADIII", "III"),
        ("ECG V1", "V1"),
        ("ECG Lead aVF", "aVF"),
        ("ecg-v6", "V6"),
        ("ECGII", "II"),
        ("  V3 ", "V3"),
        ("DIII", "III"),
        ("MV2", "V2"),
        ("C4", "V4"),
    ],
)
def test_aliases_are_read(name: str, lead: str) -> None:
    assert canonical_lead(name) == lead


@pytest.mark.parametrize("name", ["", "V7", "V10", "vx", "EEG Fp1", "F3", "Lead", "ECG", "IV", "RESP", "PLETH", "IIII"])
def test_other_channels_are_not_leads(name: str) -> None:
    assert canonical_lead(name) is None


@given(st.permutations(CLINICAL_LEADS), st.sampled_from([str, str.upper, str.lower, "Lead {}".format]))
def test_order_of_channels_does_not_matter(channels: list[str], write: object) -> None:
    signal = np.array([[CLINICAL_LEADS.index(lead) + 1.0] * 3 for lead in channels])
    leads = to_clinical_order(signal, [write(lead) for lead in channels])  # type: ignore[operator]
    np.testing.assert_array_equal(leads.signal[:, 0], np.arange(1, 13))
    assert leads.signal.dtype == np.float32
    assert leads.present.all()
    assert not leads.derived.any()


def test_limb_leads_follow_from_electrodes() -> None:
    # Potentials of right arm, left arm and left foot define all six limb leads; the derived ones must agree with them.
    right, left, foot = np.random.default_rng(1).normal(size=(3, 500))
    expected = {
        "I": left - right,
        "II": foot - right,
        "III": foot - left,
        "aVR": right - (left + foot) / 2,
        "aVL": left - (right + foot) / 2,
        "aVF": foot - (right + left) / 2,
    }
    leads = to_clinical_order(np.stack([expected["II"], expected["I"]]), ["II", "I"])
    for row, name in enumerate(CLINICAL_LEADS[:6]):
        np.testing.assert_allclose(leads.signal[row], expected[name], atol=1e-6)
    assert not leads.signal[6:].any()
    np.testing.assert_array_equal(leads.present, [True] * 6 + [False] * 6)
    np.testing.assert_array_equal(leads.derived, [False] * 2 + [True] * 4 + [False] * 6)


def test_recorded_leads_are_never_replaced_by_derived_ones() -> None:
    leads = to_clinical_order(np.array([[1.0], [2.0], [7.0]]), ["I", "II", "III"])
    assert leads.signal[2, 0] == 7
    assert not leads.derived[2]


def test_nothing_is_derived_from_one_limb_lead() -> None:
    leads = to_clinical_order(np.ones((2, 4)), ["II", "V5"])
    np.testing.assert_array_equal(np.flatnonzero(leads.present), [1, 10])
    assert not leads.derived.any()
    assert not leads.signal[~leads.present].any()


@pytest.mark.parametrize(
    ("channels", "says"),
    [(["Fp1", "Fp2"], "No clinical lead"), (["II", "MLII"], "both lead II"), (["I"], "names")],
)
def test_unusable_recordings_are_refused(channels: list[str], says: str) -> None:
    with pytest.raises(PhysiopipeError, match=says):
        to_clinical_order(np.ones((2, 4)), channels)

"""The six limb leads of DREAMER's two: Einthoven's and Goldberger's identities, and the rows that pretraining has."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_cohort import store_cohort, study_of
from planted_clips import planted_clips

from physiopipe.clips.limb_leads import limb_lead_weights, with_limb_leads
from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.cross_validation import CrossValidation
from physiopipe.params import check_params
from physiopipe.signals.leads import CLINICAL_LEADS, to_clinical_order


@pytest.mark.parametrize(
    "recorded", [("II", "III"), ("I", "II"), ("I", "III"), ("III", "II", "I"), ("V1", "II", "III")]
)
def test_they_are_those_of_a_twelve_lead_recording(recorded: tuple[str, ...]) -> None:
    """As the reader of 12-lead records derives them from I and II."""
    one, two = np.random.default_rng(0).normal(size=(2, 50))
    whole = to_clinical_order(np.stack([one, two]), ("I", "II")).signal
    mine = np.stack([whole[CLINICAL_LEADS.index(name)] for name in recorded])
    np.testing.assert_allclose(limb_lead_weights(recorded) @ mine, whole[:6], atol=1e-6)


def test_clips_have_them_in_the_rows_of_pretraining() -> None:
    clips = replace(planted_clips(subjects=2, clips=2, windows=1), ecg_channels=("II", "III"))
    clips.ecg_present[1, 0] = False
    found = with_limb_leads(clips)
    assert found.ecg_channels == CLINICAL_LEADS[:6]
    two, three = clips.ecg[0]
    wanted = (two - three, two, three, -two + three / 2, two / 2 - three, (two + three) / 2)
    for row, each in enumerate(wanted):
        np.testing.assert_allclose(found.ecg[0, row], each, rtol=1e-5, atol=1e-4)
    assert found.ecg_present[1].tolist() == [False, False, True, False, False, False]
    assert (found.ecg[1, [0, 1, 3, 4, 5]] == 0).all()
    with pytest.raises(PhysiopipeError, match="two of I, II and III; the ECG's channels are ECG"):
        with_limb_leads(replace(clips, ecg=clips.ecg[:, :1], ecg_channels=("ECG",)))


def test_a_study_asks_for_them(tmp_path: Path) -> None:
    made = replace(planted_clips(subjects=5, clips=2, windows=1, patches=10), ecg_channels=("II", "III"))
    windows = store_cohort(tmp_path, made)
    run = {"state_folder": str(tmp_path / "state"), "log_folder": "", "threads": 1}
    digests = []
    for leads, rows in (("recorded", 2), ("limb", 6)):
        content = {"clips": {"dreamer": {"ecg_leads": leads}}, "evaluate": {"seeds": [0]}, "run": run}
        study = CrossValidation(study_of("handcrafted", check_params(content, "test"), windows))
        assert ("six limb leads" in study.about()["details"]) == (leads == "limb")
        assert study.clips.ecg.shape == (10, rows, 10, 200)
        digests += [fold.digest for fold in study.runs()]
    assert len(set(digests)) == len(digests) == 2

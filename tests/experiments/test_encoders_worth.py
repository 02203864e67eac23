"""Ablations on what the encoders are worth: each runs on a small cohort and is what its title says."""

import json
from pathlib import Path

import numpy as np
import pytest
from ablation_study import parameters, run

from physiopipe.experiments.ablations import ABLATION_OF, changed_params
from physiopipe.experiments.encoders_worth import CLAIM, ENCODERS_WORTH
from physiopipe.methods.fusion_words import check_settings
from physiopipe.methods.registry import method_class

# One that chooses, one that learns by itself, one of another encoder; the others differ from them in a parameter, which
# test_parameters_differ_in_what_the_ablation_says looks at for all of them
QUICK = ("best_by_validation", "in_domain_eeg", "ecg_alone_last_layer_1_epochs")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in ENCODERS_WORTH]
)
def test_it_runs_and_says_what_it_is(world: Path, tmp_path: Path, name: str) -> None:
    found, about = run(world, tmp_path, name)
    assert len(found)
    assert ((found > 0) & (found < 1)).all()
    spec = ENCODERS_WORTH[name]
    assert (about["title"], about["claim"], about["versus"]) == (spec.title, CLAIM, spec.versus)
    assert about.get("note", "") == spec.note
    json.dumps(about)


def test_each_row_predicts_something_of_its_own(world: Path, tmp_path: Path) -> None:
    names = ("pooling_per_channel", "patch_embedding", "logistic_head", "eeg_amplitude", "ecg_amplitude")
    found = [run(world, tmp_path, name)[0] for name in names]
    assert all(not np.array_equal(a, b) for i, a in enumerate(found) for b in found[i + 1 :])


def test_untrained_rows_differ_from_the_pretrained_ones_in_the_encoder_alone(tmp_path: Path) -> None:
    params = parameters(tmp_path)
    for name, spec in ENCODERS_WORTH.items():
        if not name.endswith("_untrained"):
            continue
        other = ABLATION_OF[spec.versus]
        assert (spec.ecg_encoder, other.ecg_encoder) == ("none", "study")
        mine, theirs = (changed_params(each, params).method["ecg_only"] for each in (spec, other))
        assert mine.untrained_seed is None
        assert mine.model_copy(update={"untrained_seed": 0}) == theirs


def test_every_row_fits_an_encoder_of_one_layer(tmp_path: Path) -> None:
    params = parameters(tmp_path)
    for spec in ENCODERS_WORTH.values():
        changed, method = changed_params(spec, params), method_class(spec.method)
        settings = changed.method[spec.method] if spec.method in changed.method else method.Settings()
        check_settings(spec.method, settings, changed, ("eeg", "ecg"), any_read_out=True)

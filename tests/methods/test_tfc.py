from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_series_methods import made, sides, state_bytes

from physiopipe.errors import PhysiopipeError
from physiopipe.models.tfc_losses import finetuning_loss
from physiopipe.training.tfc_stages import TFCNetwork

PUBLISHED = {
    "attention_over": "sequence",
    "deviation": 2.0,
    "doubled": False,
    "consistency": "triplet",
    "contrast_on": "encoder",
    "form": "poly",
    "temperature": 0.2,
}


@pytest.mark.parametrize(
    "switch",
    [
        {"attention_over": "batch"},
        {"consistency": "pair"},
        {"contrast_on": "projection"},
        {"contrast_form": "plain"},
        {"doubled_spectrum": True},
        {"temperature": 0.5},
        {"jitter": 0.8},
        {"weight_decay": 0.1},
        {"scaling": "series"},
    ],
    ids=lambda switch: next(iter(switch)),
)
def test_every_switch_reaches_the_network(make_clips, tmp_path: Path, switch: dict[str, Any]) -> None:
    train, validation, _ = sides(make_clips(subjects=6, clips=2, windows=1, patches=1, channels=(3, 1)))
    few = {"segment_s": 0.25, "pretrain_epochs": 1, "finetune_epochs": 1}
    one, other = (made(tmp_path, "tfc", **few, **chosen) for chosen in ({}, switch))
    assert state_bytes(one.fit(train, validation, 0)) != state_bytes(other.fit(train, validation, 0))
    assert one.fingerprint() != other.fingerprint()


def test_over_a_batch_a_clip_sees_its_own_series_and_no_other_clips(make_clips, tmp_path: Path) -> None:
    train, validation, test = sides(make_clips(subjects=6, clips=2, windows=2, patches=1))
    for form, windows_matter in (("sequence", False), ("batch", True)):
        model = made(tmp_path, "tfc", attention_over=form).fit(train, validation, 0)
        whole = model.predict(test)
        for clip in range(len(test)):
            alone = test.of_windows(test.clip_of == clip)
            np.testing.assert_allclose(model.predict(alone), whole[clip : clip + 1], atol=1e-6)
        halves = [model.predict(test.of_windows(np.arange(len(test.clip_of)) % 2 == half)) for half in (0, 1)]
        assert (np.abs(np.mean(halves, axis=0) - whole).max() > 1e-6) == windows_matter
        assert ("attends over the series of a clip" in model.provenance) == windows_matter


def test_fine_tuning_adds_to_the_labels_what_the_authors_add() -> None:
    torch.manual_seed(0)
    network = TFCNetwork(32, 2, **PUBLISHED).eval()  # without dropout both passes are one
    x = torch.randn(6, 32)
    logits, besides = network.finetuning_terms(x)
    labels = torch.tensor([0, 1, 1, 0, 1, 0])
    embeddings = network.model(x, torch.fft.fft(x).abs())
    whole = finetuning_loss(logits, labels, embeddings, embeddings).total
    torch.testing.assert_close(besides, whole - torch.nn.functional.cross_entropy(logits, labels))
    torch.testing.assert_close(logits, network.logits(x))


def test_what_is_added_to_a_spectrum_follows_the_highest_component_of_all_training_series(tmp_path: Path) -> None:
    model = made(tmp_path, "tfc")
    network = model._new_network(1)
    values = torch.zeros(5000, 64)
    values[4999] = torch.cos(2 * torch.pi * 4 * torch.arange(64) / 64)
    model._look_at(network, values)
    assert network.highest == pytest.approx(32)


def test_an_odd_number_of_samples_is_refused(make_clips, tmp_path: Path) -> None:
    train, validation, _ = sides(make_clips(subjects=6, clips=2, windows=1, patches=1))
    with pytest.raises(PhysiopipeError, match="TF-C of 65 samples"):
        made(tmp_path, "tfc", segment_s=65 / 128).fit(train, validation, 0)

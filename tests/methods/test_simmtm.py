from pathlib import Path
from typing import Any

import pytest
import torch
from test_series_methods import made, sides, state_bytes

from physiopipe.training.simmtm_stages import SimMTMNetwork


@pytest.mark.parametrize(
    "switch",
    [
        {"target": "masked"},
        {"masked_copies": 2},
        {"masked_ratio": 0.25},
        {"mean_masked_run": 6.0},
        {"temperature": 0.5},
        {"scaling": "series"},
    ],
    ids=lambda switch: next(iter(switch)),
)
def test_every_switch_reaches_the_network(make_clips, tmp_path: Path, switch: dict[str, Any]) -> None:
    train, validation, _ = sides(make_clips(subjects=6, clips=2, windows=1, patches=1, channels=(3, 1)))
    few = {"segment_s": 0.5, "pretrain_epochs": 1, "finetune_epochs": 1, "finetune_series": 32}
    one, other = (made(tmp_path, "simmtm", **few, **chosen) for chosen in ({}, switch))
    assert state_bytes(one.fit(train, validation, 0)) != state_bytes(other.fit(train, validation, 0))
    assert one.fingerprint() != other.fingerprint()


def test_only_what_predicts_is_kept() -> None:
    torch.manual_seed(0)
    kwargs = {"copies": 3, "masked_ratio": 0.5, "mean_masked_run": 3.0, "temperature": 0.2, "target": "clean"}
    one, other = SimMTMNetwork(128, 2, **kwargs).eval(), SimMTMNetwork(128, 2, **kwargs).eval()
    weights = one.fine_tuned_weights()
    kept, whole = (sum(w.numel() for w in each.values()) for each in (weights, one.state_dict()))
    assert kept < whole / 2
    head = other.model.head.weight.clone()
    other.load_fine_tuned(weights)
    x = torch.randn(4, 128)
    assert torch.equal(one.logits(x), other.logits(x))
    assert torch.equal(other.model.head.weight, head)

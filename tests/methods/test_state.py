"""What rows with encoders have learnt is kept as arrays and comes back as it was; other channels will do."""

from pathlib import Path

import pytest
from planted_clips import planted_clips
from sklearn.metrics import roc_auc_score
from small_methods import setup, sides
from test_every_method import restored

from physiopipe.clips.clip_data import ClipData
from physiopipe.methods.registry import method_class
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.weights import save_encoder

TRAINED = ("ours", "ecg_only", "eeg_only", "transductive", "gated", "cross_attention", "mixture")


@pytest.mark.parametrize(
    ("name", "shared"),
    [
        *((name, False) for name in TRAINED),
        *(pytest.param(name, True, marks=[pytest.mark.slow] * (name not in ("ours", "ecg_only"))) for name in TRAINED),
    ],
)
def test_encoders_that_were_trained_along_are_kept_too(tmp_path: Path, name: str, shared: bool) -> None:
    train, validation, test = sides(planted_clips(subjects=6, clips=3, windows=1, patches=2))
    ecg = tmp_path / "ecg.safetensors"
    save_encoder(ecg, CrissCrossEncoder(setup(tmp_path).params.pretrain.encoder), {})
    options = {"frozen": False, "epochs": 1, "shared_encoder": shared}
    model = method_class(name)(setup(tmp_path, ecg, **options)).fit(train, validation, 0)
    arrays, _ = model.state()
    of_encoders = {key.split(".")[1] for key in arrays if key.startswith("encoders.")}
    both = {"ecg"} if shared else {"eeg", "ecg"}  # a shared one is kept once
    assert of_encoders == {"ecg_only": {"ecg"}, "eeg_only": {"eeg"}, "transductive": set()}.get(name, both)
    again = restored(model, method_class(name)(setup(tmp_path, ecg, **options)))
    assert again.predict(test.without_labels()).tobytes() == model.predict(test.without_labels()).tobytes()
    assert again.trained_parameters == model.trained_parameters


def test_a_task_of_one_class_and_features_that_nobody_has_survive(tmp_path: Path) -> None:
    clips = planted_clips(subjects=4, clips=4, windows=1, patches=10)
    clips.labels[:, 2] = 1
    clips.labels[:, 1] = 0
    clips.ecg[:] = 0
    for name in ("handcrafted", "nearest_neighbours", "clip_prior"):
        model = method_class(name)(setup(tmp_path)).fit(clips, clips, 0)
        again = restored(model, method_class(name)(setup(tmp_path)))
        assert again.predict(clips).tobytes() == model.predict(clips).tobytes()


def test_a_restored_method_leaves_torchs_stream_as_it_was(tmp_path: Path) -> None:
    import torch

    train, validation, _ = sides(planted_clips(subjects=6, clips=3, windows=1, patches=2))
    model = method_class("ours")(setup(tmp_path, frozen=False, epochs=1)).fit(train, validation, 0)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    restored(model, method_class("ours")(setup(tmp_path, frozen=False, epochs=1)))
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("handcrafted", (5, 1)),
        ("ours", (5, 1)),
        *(pytest.param(name, (19, 1), marks=pytest.mark.slow) for name in ("handcrafted", "ours", "mixture")),
        pytest.param("mixture", (5, 1), marks=pytest.mark.slow),
    ],
)
def test_what_is_planted_is_learnt_with_other_channels_too(
    tmp_path: Path, name: str, channels: tuple[int, int]
) -> None:
    def clips(subjects: int, seed: int) -> ClipData:
        return planted_clips(subjects, 10, 2, 2.0, seed, patches=6, channels=channels, tasks=("a", "b"))

    train, validation, _ = sides(clips(15, 0))
    test = clips(6, 5)
    found = method_class(name)(setup(tmp_path)).fit(train, validation, 0).predict(test.without_labels())
    assert roc_auc_score(test.labels[:, 0], found[:, 0]) > 0.8
    assert roc_auc_score(test.labels[:, 1], found[:, 1]) > 0.75

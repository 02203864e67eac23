"""Every fusion behind the same interface: learns what is planted, repeats itself, ignores what it must not read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from small_methods import parameters, setup, sides

from physiopipe.clips.clip_data import ClipData
from physiopipe.clips.embeddings import Encoders, encoder_inputs
from physiopipe.methods.base import Setup
from physiopipe.methods.ours import Ours
from physiopipe.methods.registry import method_class
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.fusion import embed
from physiopipe.models.weights import save_encoder

FUSIONS = ("ours", "gated", "cross_attention", "mixture")
TRAINED = (*FUSIONS, "ecg_only", "eeg_only", "transductive")


def made(name: str, setup: Setup) -> Ours:
    found = method_class(name)(setup)
    assert isinstance(found, Ours)
    return found


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where rows of the same untrained encoders find each other's embeddings."""
    return tmp_path_factory.mktemp("state")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "transductive")) for name in TRAINED]
)
def test_what_is_planted_is_learnt_by_who_can_see_it(make_clips, state: Path, name: str) -> None:
    train, validation, _ = sides(make_clips(subjects=15, clips=12, windows=2, effect=2.0))
    model = made(name, setup(state)).fit(train, validation, 0)
    test = make_clips(subjects=6, clips=12, windows=2, seed=5, effect=2.0)
    found = model.predict(test.without_labels())
    auc = [roc_auc_score(test.labels[:, label], found[:, label]) for label in range(3)]
    assert auc[0] > 0.8 if name != "ecg_only" else abs(auc[0] - 0.5) < 0.25  # planted in the EEG
    assert auc[1] > 0.75 if name != "eeg_only" else abs(auc[1] - 0.5) < 0.25  # planted in the ECG
    assert abs(auc[2] - 0.5) < 0.25


@pytest.mark.parametrize("name", FUSIONS)
def test_trained_along_too_a_seed_gives_its_numbers_and_another_seed_others(
    make_clips, tmp_path: Path, name: str
) -> None:
    train, validation, test = sides(make_clips(subjects=6, clips=3, windows=1, patches=2))
    found = [
        made(name, setup(tmp_path / str(i), frozen=False, epochs=2)).fit(train, validation, seed).predict(test)
        for i, seed in enumerate((3, 3, 4))
    ]
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


@pytest.mark.parametrize("name", ["gated", "cross_attention", "mixture", "ecg_only", "eeg_only"])
def test_fine_tuning_moves_the_encoders_in_use_and_no_other(make_clips, tmp_path: Path, name: str) -> None:
    train, validation, _ = sides(make_clips(subjects=6, clips=3, windows=1, patches=2))
    model = made(name, setup(tmp_path, frozen=False, epochs=1))
    before = {key: value.clone() for key, value in model._two_encoders().state_dict().items()}
    model.fit(train, validation, 0)
    after = model._model.state_dict()
    moved = {key.split(".")[0] for key, value in before.items() if not torch.equal(after[f"encoders.{key}"], value)}
    assert moved == set(model.modalities)
    assert {key.split(".")[0] for key in before} == set(model.modalities)


def test_only_one_modality_is_read(make_clips, tmp_path: Path) -> None:
    train, validation, test = sides(make_clips(subjects=6, clips=3, windows=1))
    for name, other in (("ecg_only", "eeg"), ("eeg_only", "ecg")):
        model = made(name, setup(tmp_path, epochs=1)).fit(train, validation, 0)
        before = model.predict(test)
        noise = np.random.default_rng(0).normal(size=getattr(test, other).shape).astype(np.float32)
        test = replace(test, **{other: noise})
        np.testing.assert_array_equal(model.predict(test), before)
        assert f"{other.upper()} encoder" not in model.provenance
        own = "ecg" if other == "eeg" else "eeg"
        noise = np.random.default_rng(1).normal(size=getattr(test, own).shape).astype(np.float32)
        test = replace(test, **{own: getattr(test, own) * noise})
        assert not np.array_equal(model.predict(test), before)


def test_patch_embeddings_serve_every_fusion_and_are_those_of_the_encoder(make_clips, tmp_path: Path) -> None:
    clips = make_clips(subjects=4, clips=3, windows=2)
    clips.eeg_present[3, 5] = False
    clips.valid_patches[2] = 1
    ours = made("ours", setup(tmp_path))
    whole = ours._embeddings(clips)
    folder = tmp_path / "state" / "embeddings"
    kept = len(list(folder.glob("*.npy")))
    sequence = made("cross_attention", setup(tmp_path))._embeddings(clips)
    assert sequence.shape == (len(clips.clip_of), 3, 80)
    assert made("ecg_only", setup(tmp_path))._embeddings(clips).shape == (len(clips.clip_of), 40)
    assert len(list(folder.glob("*.npy"))) == kept
    eeg, _, eeg_valid, _ = encoder_inputs(clips, 100.0)
    with torch.inference_mode():
        direct = embed(ours._encoders.encoder("eeg"), eeg, eeg_valid, "channels_and_patches").numpy()
    np.testing.assert_allclose(whole[:, :40], direct, rtol=1e-4, atol=1e-5)
    assert (sequence[2, 1:] == 0).all()


def test_end_to_end_and_frozen_give_the_heads_the_same(make_clips, tmp_path: Path) -> None:
    train, validation, test = sides(make_clips(subjects=6, clips=3, windows=1))
    for name in FUSIONS:
        model = made(name, setup(tmp_path, frozen=False, epochs=1))
        model.fit(train, validation, 0)
        inputs = model._inputs(test)
        with torch.inference_mode():
            found = model._two_encoders().eval()(*inputs).numpy()
        np.testing.assert_allclose(found, model._embeddings(test), rtol=1e-3, atol=1e-5)


def test_one_encoder_for_both_modalities_is_one_object_tied_in_training(make_clips, tmp_path: Path) -> None:
    train, validation, test = sides(make_clips(subjects=6, clips=3, windows=1, patches=2))
    torch.manual_seed(4)
    ecg = tmp_path / "ecg.safetensors"
    save_encoder(ecg, CrissCrossEncoder(parameters(tmp_path).pretrain.encoder), {})
    weights = {"origin": "file", "path": str(tmp_path / "no such file.pth")}  # must not be asked for
    model = made("ours", setup(tmp_path, ecg, weights=weights, shared_encoder=True, frozen=False, epochs=1))
    assert model._encoders.encoder("eeg") is model._encoders.encoder("ecg")
    assert model.provenance == "reimplementation (one encoder for both modalities)"
    model.fit(train, validation, 0)
    tuned = model._model
    assert tuned.encoders.eeg is tuned.encoders.ecg
    assert model.predict(test).shape == (len(test), 3)
    apart = made("ours", setup(tmp_path / "b", ecg)).fingerprint()
    assert apart["encoders"]["eeg"] != model.fingerprint()["encoders"]["eeg"]


def test_two_rates_are_two_groups_that_fall_to_nothing(make_clips, tmp_path: Path, monkeypatch) -> None:
    train, validation, _ = sides(make_clips(subjects=6, clips=4, windows=1, patches=2))
    rates: list[list[float]] = []
    decays: set[float] = set()
    step = torch.optim.AdamW.step

    def record(self: torch.optim.AdamW, *args: object) -> object:
        rates.append([group["lr"] for group in self.param_groups])
        decays.update(group["weight_decay"] for group in self.param_groups)
        return step(self, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", record)
    made("ours", setup(tmp_path, frozen=False, recipe="two_rate", epochs=2)).fit(train, validation, 0)
    steps = 2 * 2  # 16 windows in batches of 8
    assert len(rates) == steps
    expected = [0.5 * (1 + np.cos(np.pi * i / steps)) for i in range(steps)]
    np.testing.assert_allclose([row[0] for row in rates], 1e-3 * np.array(expected), rtol=1e-6)
    np.testing.assert_allclose([row[1] for row in rates], 1e-4 * np.array(expected), rtol=1e-6)
    assert decays == {0.05}
    rates.clear()
    made("ours", setup(tmp_path, recipe="two_rate", epochs=1)).fit(train, validation, 0)
    assert {len(row) for row in rates} == {1}  # frozen: the head alone


def test_transductive_uses_the_subjects_own_level_and_says_so(make_clips, tmp_path: Path) -> None:
    clips = make_clips(subjects=4, clips=6, windows=2)
    model = made("transductive", setup(tmp_path))
    found = model._embeddings(clips)
    plain = made("ours", setup(tmp_path))._embeddings(clips)
    for name in np.unique(clips.subjects):
        rows = (clips.subjects == name)[clips.clip_of]
        np.testing.assert_allclose(found[rows].mean(axis=0), 0, atol=1e-4)
        np.testing.assert_allclose(found[rows].std(axis=0), 1, atol=1e-3)
        expected = (plain[rows] - plain[rows].mean(0)) / plain[rows].std(0)
        np.testing.assert_allclose(found[rows], expected, rtol=1e-3, atol=1e-3)
    assert "TRANSDUCTIVE" in model.provenance
    np.testing.assert_array_equal(made("transductive", setup(tmp_path, frozen=False))._embeddings(clips), found)


def test_transductive_removes_a_subjects_level(make_clips, tmp_path: Path, monkeypatch) -> None:
    """Where subjects differ far more than clips do, only the row that knows a subject's level sees the clips."""
    whole = make_clips(subjects=18, clips=12, windows=1, patches=1)

    def levels(_: Encoders, clips: ClipData, modality: str) -> np.ndarray:
        """Embeddings whose first dimension is the subject's level plus a little of valence, the rest noise."""
        random = np.random.default_rng([len(clips.clip_of), modality == "ecg"])
        found = random.normal(size=(len(clips.clip_of), 1, 40))
        level = 10 * np.array([int(name[1:]) * 37 % 101 / 101 for name in clips.subjects[clips.clip_of]])
        found[:, 0, 0] = level + clips.labels[clips.clip_of, 0] + random.normal(0, 0.2, len(found))
        return found.astype(np.float32)

    monkeypatch.setattr(Encoders, "patches", levels)
    names = sorted(set(whole.subjects))
    train, validation, test = (whole.of_subjects(part) for part in (names[:9], names[9:12], names[12:]))
    auc = {}
    for name in ("ours", "transductive"):
        found = made(name, setup(tmp_path)).fit(train, validation, 0).predict(test)
        auc[name] = roc_auc_score(test.labels[:, 0], found[:, 0])
    assert auc["transductive"] > 0.85
    assert auc["ours"] < 0.8

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch import Tensor

from physiopipe.errors import PhysiopipeError
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.fusion import Fusion, LabelHeads, TwoEncoders, embed, in_blocks
from physiopipe.params import Encoder
from physiopipe.training.finetune import LabelledWindows, mean_auc, probabilities, train
from physiopipe.training.recipe import TrainingSettings

CPU = torch.device("cpu")
SMALL = Encoder(layers=1, width=40, feedforward=40, heads=4)


def planted(clips: int, windows: int, seed: int, width: int = 12, effect: float = 2.0) -> LabelledWindows:
    """Embeddings in which label k shifts dimension k alone, and the rest is noise."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, (clips, 3))
    clip_of = np.repeat(np.arange(clips), windows)
    embeddings = random.normal(size=(clips * windows, width))
    embeddings[:, :3] += effect * labels[clip_of]
    inputs = (torch.tensor(embeddings, dtype=torch.float32),)
    return LabelledWindows(inputs, torch.tensor(labels[clip_of], dtype=torch.float32), clip_of)


def heads(width: int = 12, seed: int = 0) -> LabelHeads:
    torch.manual_seed(seed)
    return LabelHeads(width, hidden=16, dropout=0.2)


def test_each_head_learns_its_own_label() -> None:
    model = heads()
    train(model, planted(160, 3, 0), planted(30, 3, 1), TrainingSettings(), 0, CPU)
    test = planted(100, 3, 2)
    found = probabilities(model, test.inputs, 3, CPU)
    truth = test.labels.numpy()
    auc = np.array([[roc_auc_score(truth[:, label], found[:, head]) for head in range(3)] for label in range(3)])
    assert np.diag(auc).min() > 0.85
    off_diagonal = auc[~np.eye(3, dtype=bool)]
    assert np.abs(off_diagonal - 0.5).max() < 0.2


@pytest.mark.slow
def test_noise_teaches_nothing() -> None:
    model = heads()
    train(model, planted(80, 3, 0, effect=0.0), planted(30, 3, 1, effect=0.0), TrainingSettings(), 0, CPU)
    test = planted(200, 3, 2, effect=0.0)
    assert abs(mean_auc(test.labels.numpy().astype(int), probabilities(model, test.inputs, 3, CPU)) - 0.5) < 0.08


@pytest.mark.slow
def test_loss_starts_at_three_coins_and_falls() -> None:
    curve = train(heads(), planted(160, 3, 0), planted(30, 3, 1), TrainingSettings(), 0, CPU)
    assert [(p.epoch, p.split) for p in curve[:4]] == [(1, "train"), (1, "validation"), (2, "train"), (2, "validation")]
    assert len(curve) == 20
    losses = [p.loss for p in curve if p.split == "train"]
    assert losses[0] < 3 * np.log(2) * 1.1
    assert losses[-1] < 0.8 * losses[0]


def test_best_epoch_by_validation_is_kept() -> None:
    # a learning rate this high wanders; the kept weights must be those of the best epoch, not of the last
    params = TrainingSettings(learning_rate=0.5, step_epochs=100, epochs=12)
    model, validation = heads(), planted(30, 2, 1, effect=0.7)
    curve = train(model, planted(40, 2, 0, effect=0.7), validation, params, 0, CPU)
    aucs = [p.auc for p in curve if p.split == "validation"]
    assert max(aucs) > aucs[-1]
    found = probabilities(model, validation.inputs, 3, CPU).reshape(30, 2, 3).mean(axis=1)
    assert mean_auc(validation.labels.numpy()[::2].astype(int), found) == pytest.approx(max(aucs), abs=1e-9)


def test_same_seed_same_weights_and_no_trace_in_the_global_stream() -> None:
    results = []
    for seed in (5, 5, 6):
        model = heads()
        torch.manual_seed(123)
        train(model, planted(20, 2, 0), planted(10, 2, 1), TrainingSettings(epochs=2), seed, CPU)
        results.append((copy.deepcopy(model.state_dict()), torch.rand(1)))
    first, again, other = results
    assert all(torch.equal(first[0][name], again[0][name]) for name in first[0])
    assert not all(torch.equal(first[0][name], other[0][name]) for name in first[0])
    assert torch.equal(first[1], again[1])
    assert torch.equal(first[1], other[1])


def test_step_schedule_is_the_papers(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    step = torch.optim.Adam.step

    def record(self: torch.optim.Adam, *args: object) -> object:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args)

    monkeypatch.setattr(torch.optim.Adam, "step", record)
    windows = planted(4, 2, 0)  # eight windows: a step an epoch
    train(heads(), windows, planted(4, 2, 1), TrainingSettings(), 0, CPU)
    assert rates == pytest.approx([1e-3] * 4 + [1e-4] * 4 + [1e-5] * 2)


def test_without_validation_the_last_epoch_stays_and_single_class_falls_back_to_loss() -> None:
    windows, nobody = planted(20, 2, 0), planted(1, 1, 0)
    empty = LabelledWindows((nobody.inputs[0][:0],), nobody.labels[:0], nobody.clip_of[:0])
    assert {p.split for p in train(heads(), windows, empty, TrainingSettings(epochs=2), 0, CPU)} == {"train"}
    one_class = LabelledWindows(windows.inputs, torch.ones_like(windows.labels), windows.clip_of)
    curve = train(heads(), windows, one_class, TrainingSettings(epochs=2), 0, CPU)
    assert np.isnan(curve[-1].auc)


def test_no_windows_and_diverging_losses_are_said() -> None:
    windows = planted(4, 2, 0)
    empty = LabelledWindows((windows.inputs[0][:0],), windows.labels[:0], windows.clip_of[:0])
    with pytest.raises(PhysiopipeError, match="No training windows"):
        train(heads(), empty, windows, TrainingSettings(), 0, CPU)
    spoilt = LabelledWindows((windows.inputs[0] * torch.nan,), windows.labels, windows.clip_of)
    with pytest.raises(PhysiopipeError, match=r"lower the method's learning rate"):
        train(heads(), spoilt, windows, TrainingSettings(), 0, CPU)


@given(st.integers(2, 40), st.integers(0, 2**31), st.booleans())
def test_mean_auc_equals_sklearn(clips: int, seed: int, ties: bool) -> None:
    random = np.random.default_rng(seed)
    truth, score = random.integers(0, 2, (clips, 3)), random.random((clips, 3))
    score = score.round(1) if ties else score
    known = [i for i in range(3) if 0 < truth[:, i].sum() < clips]
    expected = np.mean([roc_auc_score(truth[:, i], score[:, i]) for i in known]) if known else np.nan
    np.testing.assert_allclose(mean_auc(truth, score), expected, rtol=1e-12)


def random_windows(batch: int = 3, patches: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    eeg = torch.randn(batch, 14, patches, 200, generator=generator)
    ecg = torch.randn(batch, 2, patches, 200, generator=generator)
    return eeg, ecg, torch.ones(batch, 14, patches, dtype=torch.bool), torch.ones(batch, 2, patches, dtype=torch.bool)


def encoder(seed: int) -> CrissCrossEncoder:
    torch.manual_seed(seed)
    return CrissCrossEncoder(SMALL).eval()


def test_embedding_is_the_mean_over_what_holds_signal() -> None:
    eeg, _, valid, _ = random_windows()
    model = encoder(1)
    valid[0, 3:] = False
    valid[1, :, 1] = False
    valid[2] = False
    with torch.inference_mode():
        features = model.features(eeg)
        found = embed(model, eeg, valid, "channels_and_patches")
        by_patch = embed(model, eeg, valid, "channels")
    torch.testing.assert_close(found[0], features[0, :3].mean(dim=(0, 1)))
    torch.testing.assert_close(found[1], features[1, :, 0].mean(dim=0))
    assert (found[2] == 0).all()
    assert by_patch.shape == (3, 80)
    torch.testing.assert_close(by_patch[0], features[0, :3].mean(dim=0).flatten())
    assert (by_patch[1, 40:] == 0).all()


def test_end_to_end_trains_both_encoders_and_agrees_with_its_parts() -> None:
    inputs = random_windows(batch=8)
    model = Fusion(TwoEncoders(encoder(1), encoder(2), "channels_and_patches"), heads(80)).eval()
    with torch.inference_mode():
        whole = model(*inputs)
        parts = model.heads(model.encoders(*inputs))
        blocks = in_blocks(model, inputs, 3, CPU)
    torch.testing.assert_close(whole, parts)
    torch.testing.assert_close(whole, blocks, rtol=1e-4, atol=1e-5)
    before = copy.deepcopy(model.state_dict())
    labels = torch.randint(0, 2, (8, 3), generator=torch.Generator().manual_seed(1)).float()
    windows = LabelledWindows(inputs, labels, np.arange(8))
    train(model, windows, windows, TrainingSettings(epochs=1), 0, CPU)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    for part in ("encoders.eeg.encoder", "encoders.ecg.encoder", "encoders.eeg.patch_embedding", "heads.heads.2"):
        assert any(name.startswith(part) for name in changed), part


def test_heads_take_the_scale_of_the_training_embeddings() -> None:
    model = heads().eval()
    embeddings = torch.randn(50, 12, generator=torch.Generator().manual_seed(0)) * 100 + 7
    embeddings[:, 4] = 7  # constant: centred, not divided by nothing
    plain = model((embeddings - embeddings.mean(0)) / embeddings.std(0, unbiased=False).clamp(min=1e-8))
    model.scale_by(embeddings)
    torch.testing.assert_close(model(embeddings), plain, rtol=1e-4, atol=1e-4)

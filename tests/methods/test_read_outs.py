"""What is read from the encoders: every way has its shape, knows the training people alone, and comes back as kept."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from planted_clips import planted_clips
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from small_methods import SIZES, setup, sides
from test_every_method import restored

from physiopipe.clips.amplitude import eeg_rms_uv, log_amplitude
from physiopipe.clips.embeddings import encoder_inputs
from physiopipe.errors import PhysiopipeError
from physiopipe.files import sha256_file
from physiopipe.methods.in_domain import InDomain
from physiopipe.methods.ours import Ours
from physiopipe.methods.registry import method_class
from physiopipe.methods.single_modality import EcgOnly
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.fusion import channel_means, pooled
from physiopipe.models.probes import AttentionHeads, LogisticHeads
from physiopipe.models.weights import save_encoder
from physiopipe.params import Encoder
from physiopipe.training.finetune import LabelledWindows
from physiopipe.training.in_domain import pretrain_in_memory
from physiopipe.training.probe import fit_logistic

GOLDEN: dict[str, list[list[float]]] = json.loads((Path(__file__).parent / "golden_fusions.json").read_text())
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "ours_channels": ("ours", {"pooling": "channels"}),
    "ours_trained_along": ("ours", {"frozen": False}),
    "ours_shared": ("ours", {"shared_encoder": True}),
}
WAYS: dict[str, dict[str, Any]] = {
    "mean_and_sd": {"pooling": "mean_and_sd"},
    "per_channel": {"pooling": "per_channel"},
    "attention": {"pooling": "attention"},
    "patch embedding": {"layer": 0},
    "logistic": {"head": "logistic"},
    "logistic, per channel, patch embedding": {"head": "logistic", "pooling": "per_channel", "layer": 0},
    "rms": {"eeg_scale": "rms"},
    "amplitudes": {"eeg_amplitude": True, "ecg_amplitude": True},
    "attention, amplitudes": {"pooling": "attention", "eeg_amplitude": True, "ecg_amplitude": True},
    "a draw a seed": {"untrained_seed": None},
    "chosen": {"choose": [{"layer": 0}, {"pooling": "per_channel", "head": "logistic", "eeg_scale": "rms"}]},
}  # fmt: skip
COMBINED = ("logistic, per channel, patch embedding", "attention, amplitudes")  # each part is a way of its own too
TRAINED_ALONG = {name: way for name, way in WAYS.items() if not {"head", "eeg_amplitude", "choose"} & way.keys()}
P, D, EEG, ECG = 2, SIZES["width"], 5, 2  # patches, width, channels


small_clips = partial(planted_clips, channels=(EEG, ECG))


@pytest.mark.parametrize("case", GOLDEN)
def test_defaults_predict_what_they_did_before_there_was_a_choice(tmp_path: Path, case: str) -> None:
    name, options = CASES.get(case, (case, {}))
    clips = planted_clips(subjects=8, clips=4, windows=2, patches=2, channels=(14, 2))
    clips.eeg_present[3, 2] = clips.ecg_present[7] = False
    clips.valid_patches[5] = 1
    train, validation, test = sides(clips)
    model = method_class(name)(setup(tmp_path, epochs=2, **options)).fit(train, validation, 3)
    np.testing.assert_allclose(model.predict(test.without_labels()), GOLDEN[case], atol=2e-6)


@pytest.mark.parametrize(
    ("way", "width"),
    [
        ("mean_and_sd", (4 * D,)),
        ("per_channel", ((EEG + ECG) * D,)),
        ("attention", (P + EEG, 2 * D)),
        ("patch embedding", (2 * D,)),
        ("amplitudes", (2 * D + EEG + ECG,)),
        ("attention, amplitudes", (P + EEG, 2 * D + EEG + ECG)),
    ],
)
def test_embeddings_have_their_shape_and_are_those_of_the_encoders(tmp_path: Path, way: str, width: tuple) -> None:
    clips = small_clips(subjects=2, clips=2, windows=1, patches=P)
    clips.eeg_present[1, 4] = False
    model = Ours(setup(tmp_path, **WAYS[way]))
    found = model._embeddings(clips)
    assert found.shape == (4, *width)
    assert found.shape[-1] == sum(model._widths(clips))
    if "amplitude" not in way:
        with torch.inference_mode():
            direct = model._two_encoders()(*encoder_inputs(clips, 100.0)).numpy()
        np.testing.assert_allclose(found, direct, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("way", [pytest.param(way, marks=[pytest.mark.slow] * (way in COMBINED)) for way in WAYS])
def test_each_way_is_repeatable_kept_and_blind_to_people_it_is_not_trained_on(tmp_path: Path, way: str) -> None:
    clips = small_clips(subjects=8, clips=4, windows=2, patches=P)
    clips.ecg_present[-1] = False  # a test window without one modality
    train, validation, test = sides(clips)
    options = {"epochs": 2} | WAYS[way]
    model = Ours(setup(tmp_path, **options)).fit(train, validation, 3)
    found = model.predict(test.without_labels())
    assert found.shape == (len(test), 3)
    assert ((found > 0) & (found < 1)).all()
    again = restored(model, Ours(setup(tmp_path, **options)))
    assert again.predict(test.without_labels()).tobytes() == found.tobytes()
    other = Ours(setup(tmp_path / "other", **options))
    other.precompute(clips.without_labels())  # all people's windows, as a study does it
    assert other.fit(train, validation, 3).predict(test.without_labels()).tobytes() == found.tobytes()
    assert model.fingerprint() == Ours(setup(tmp_path, **options)).fingerprint()


@pytest.mark.parametrize("way", TRAINED_ALONG)
def test_encoders_can_be_trained_along_what_is_read_from_them(tmp_path: Path, way: str) -> None:
    train, validation, test = sides(small_clips(subjects=6, clips=2, windows=1, patches=P))
    options = {"frozen": False, "epochs": 1} | WAYS[way]
    model = Ours(setup(tmp_path, **options)).fit(train, validation, 0)
    found = model.predict(test.without_labels())
    assert np.isfinite(found).all()
    again = restored(model, Ours(setup(tmp_path, **options)))
    assert again.predict(test.without_labels()).tobytes() == found.tobytes()


def test_poolings_are_the_averages_they_say() -> None:
    torch.manual_seed(0)
    features, valid = torch.randn(3, 4, 5, 6), torch.ones(3, 4, 5, dtype=torch.bool)
    valid[0, 1], valid[1, :, 3:], valid[2] = False, False, False
    channels = channel_means(features, valid)
    assert (channels[0, 1] == 0).all()
    torch.testing.assert_close(channels[1, 2], features[1, 2, :3].mean(0))
    patches = torch.where(valid.any(1).unsqueeze(-1), torch.randn(3, 5, 6), 0.0)
    both = pooled(patches, "mean_and_sd")
    torch.testing.assert_close(both[1], torch.cat((patches[1, :3].mean(0), patches[1, :3].std(0, unbiased=False))))
    assert (both[2] == 0).all()
    assert pooled(patches, "per_channel", channels).shape == (3, 24)
    assert pooled(patches, "attention", channels).shape == (3, 9, 6)


def test_a_layer_is_the_encoder_cut_there() -> None:
    torch.manual_seed(0)
    encoder = CrissCrossEncoder(Encoder(**SIZES | {"layers": 2})).eval()
    x = torch.randn(2, 3, 4, 200)
    with torch.inference_mode():
        first = encoder.features(x, layer=0)
        assert torch.equal(first, encoder.patch_embedding(x))
        assert torch.equal(encoder.features(x, layer=1), encoder.encoder.layers[0](first))
        assert torch.equal(encoder.features(x, layer=2), encoder.features(x))


def test_attention_starts_as_a_mean_and_learns_where_to_look() -> None:
    torch.manual_seed(0)
    heads = AttentionHeads((4, 3), rows=6, hidden=8, dropout=0.0, labels=1).eval()
    embeddings = torch.randn(64, 6, 7)
    embeddings[:, 4:, 4:] = 0  # the other modality's sequence is shorter
    embeddings[0] = 0  # nothing at all
    plain = torch.cat((embeddings[:, :, :4].mean(1), embeddings[:, :4, 4:].mean(1)), dim=-1)
    torch.testing.assert_close(heads(embeddings), heads.classify[0](plain))
    truth = (embeddings[:, 2, 1:2] > 0).float()  # it stands in one row alone
    optimiser = torch.optim.Adam(heads.parameters(), lr=0.05)
    for _ in range(200):
        optimiser.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(heads(embeddings), truth).backward()
        optimiser.step()
    assert int(heads.places[0].argmax()) == 2


def test_logistic_heads_are_scikit_learn_s_at_the_penalty_that_validation_chooses() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 90))  # wider than there are windows
    truth = (x[:, :3].sum(1) + random.normal(size=60) > 0).astype(np.float32)
    held_x = random.normal(size=(40, 90))
    held_truth = (held_x[:, :3].sum(1) > 0).astype(np.float32)

    def labelled(values: np.ndarray, labels: np.ndarray) -> LabelledWindows:
        return LabelledWindows(
            (torch.from_numpy(values.astype(np.float32)),), torch.from_numpy(labels[:, None]), np.arange(len(labels))
        )

    heads, strengths = LogisticHeads((90,), 1), (1.0, 0.001, 0.1)
    (chosen,) = fit_logistic(heads, labelled(x, truth), labelled(held_x, held_truth), strengths)
    expected = {}
    for strength in sorted(strengths):
        other = LogisticRegression(C=strength, tol=1e-10, max_iter=5000).fit(x.astype(np.float32).astype(float), truth)
        expected[strength] = other
    aucs = {c: roc_auc_score(held_truth, other.decision_function(held_x)) for c, other in expected.items()}
    assert chosen == max(aucs, key=lambda c: aucs[c])
    for strength in strengths:
        fit_logistic(heads, labelled(x, truth), labelled(held_x, held_truth), (strength,))
        np.testing.assert_allclose(heads.linear.weight.detach().numpy(), expected[strength].coef_, atol=2e-5)
        np.testing.assert_allclose(heads.linear.bias.detach().numpy(), expected[strength].intercept_, atol=2e-5)
    one_class = labelled(x, np.ones(60, dtype=np.float32))
    fit_logistic(heads, one_class, one_class, strengths)
    assert (heads(one_class.inputs[0]) > 3).all()
    nobody = labelled(x[:0], truth[:0])
    assert fit_logistic(heads, labelled(x, truth), nobody, strengths) == (0.001,)
    with pytest.raises(PhysiopipeError, match="No training windows"):
        fit_logistic(heads, nobody, nobody, strengths)


def test_amplitudes_are_logs_of_each_channel_s_sd_and_say_nothing_of_what_is_absent() -> None:
    clips = small_clips(subjects=1, clips=2, windows=1, patches=3)
    clips.eeg_present[0, 3] = False
    clips.valid_patches[0] = 2
    clips.eeg[0, :, 2] = 1e6  # padding
    clips.eeg_present[1] = False
    found = log_amplitude(clips, "eeg")
    expected = np.log(clips.eeg[0, :, :2].reshape(EEG, -1).std(axis=1))
    there = np.arange(EEG) != 3
    np.testing.assert_allclose(found[0, there], expected[there], rtol=1e-5)
    np.testing.assert_allclose(found[0, 3], expected[there].mean(), rtol=1e-5)
    assert (found[1] == 0).all()
    np.testing.assert_allclose(eeg_rms_uv(clips), np.sqrt(np.square(clips.eeg[0, there, :2]).mean()), rtol=1e-5)


def test_amplitude_that_the_ecg_s_scaling_loses_is_found_by_the_head(tmp_path: Path) -> None:
    clips = small_clips(subjects=12, clips=8, windows=1, patches=P, effect=0.0, tasks=("one",))
    clips.ecg[:] *= np.exp(0.5 * clips.labels[clips.clip_of, 0])[:, None, None, None]
    train, validation, test = sides(clips)

    def auc(**options: Any) -> float:
        model = EcgOnly(setup(tmp_path, head="logistic", **options)).fit(train, validation, 0)
        return float(roc_auc_score(test.labels[:, 0], model.predict(test.without_labels())[:, 0]))

    assert auc(ecg_amplitude=True) > 0.95
    assert auc() < 0.8


def test_the_rms_is_that_of_the_training_people_and_of_untrained_encoders_alone(tmp_path: Path) -> None:
    train, validation, test = sides(small_clips(subjects=6, clips=2, windows=1, patches=P))
    louder = small_clips(subjects=2, clips=2, windows=1, patches=P, seed=3)
    louder.eeg[:] *= 50
    model = Ours(setup(tmp_path, eeg_scale="rms", epochs=1))
    first = model.fit(train, validation, 0).predict(test)
    assert model._encoders.choice.eeg_scale_uv == float(f"{eeg_rms_uv(train):.2g}")
    model.precompute(louder.without_labels())
    model.predict(louder.without_labels())
    np.testing.assert_array_equal(model.fit(train, validation, 0).predict(test), first)
    assert "training subjects' RMS" in model.reads
    weights = tmp_path / "eeg.safetensors"
    save_encoder(weights, CrissCrossEncoder(setup(tmp_path).params.encoders.eeg), {})
    of_file = {"origin": "file", "path": str(weights), "sha256": sha256_file(weights)}
    given = Ours(setup(tmp_path, weights=of_file, eeg_scale="rms", epochs=1))
    assert given.fit(train, validation, 0)._encoders.choice.eeg_scale_uv == 100
    assert "100 µV" in given.reads


def test_draws_differ_from_each_other_and_follow_the_seed_where_asked(tmp_path: Path) -> None:
    clips = small_clips(subjects=6, clips=2, windows=1, patches=P)
    train, validation, test = sides(clips)
    fixed = [EcgOnly(setup(tmp_path, head="logistic", untrained_seed=draw)) for draw in (0, 1)]
    assert not np.array_equal(*(model._embeddings(clips) for model in fixed))
    np.testing.assert_array_equal(*(fixed[1].fit(train, validation, seed).predict(test) for seed in (0, 7)))
    by_seed = EcgOnly(setup(tmp_path, head="logistic", untrained_seed=None))
    found = [by_seed.fit(train, validation, seed).predict(test) for seed in (1, 2, 1)]
    np.testing.assert_array_equal(found[0], fixed[1].fit(train, validation, 9).predict(test))
    np.testing.assert_array_equal(found[0], found[2])
    assert not np.array_equal(found[0], found[1])


def test_the_choice_is_the_best_of_the_validation_people_fold_by_fold(tmp_path: Path) -> None:
    clips = small_clips(subjects=12, clips=6, windows=1, patches=P, effect=0.0, tasks=("one",))
    clips.ecg[:] *= np.exp(clips.labels[clips.clip_of, 0])[:, None, None, None]  # in the amplitude alone
    train, validation, test = sides(clips)
    choices = [{"head": "logistic"}, {"head": "logistic", "ecg_amplitude": True}]
    model = EcgOnly(setup(tmp_path, choose=choices)).fit(train, validation, 0)
    assert model._read_out.ecg_amplitude
    assert roc_auc_score(test.labels[:, 0], model.predict(test)[:, 0]) > 0.9
    swapped = validation.labels.copy()
    validation.labels[:] = 1 - swapped  # now what is learnt is wrong, and the other is nearer to chance
    assert not model.fit(train, validation, 0)._read_out.ecg_amplitude
    assert not model.fit(train, train.of_subjects([]), 0)._read_out.ecg_amplitude  # nobody to ask: the first


@pytest.mark.parametrize(
    ("name", "options", "fault"),
    [
        ("ours", {"layer": 2}, r"layer 2, and the EEG encoder has 1: expected at most 1"),
        ("ours", {"head": "logistic", "pooling": "attention"}, "choose another pooling"),
        ("ours", {"head": "logistic", "frozen": False}, "frozen: true"),
        ("ours", {"ecg_amplitude": True, "frozen": False}, "frozen: true"),
        ("ours", {"choose": [{}, {"layer": 9}]}, "layer 9"),
        ("gated", {"pooling": "attention"}, "gated has heads of its own"),
        ("transductive", {"choose": [{}]}, "choose needs"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    tmp_path: Path, name: str, options: dict[str, Any], fault: str
) -> None:
    with pytest.raises(PhysiopipeError, match=fault):
        method_class(name)(setup(tmp_path, **options))


def test_an_encoder_is_pretrained_on_the_training_people_of_a_fold_and_nobody_else(tmp_path: Path) -> None:
    clips = small_clips(subjects=8, clips=2, windows=2, patches=P)
    train, validation, test = sides(clips)
    options = {"epochs": 1, "pretrain_epochs": 1}
    model = InDomain(setup(tmp_path, **options)).fit(train, validation, 0)
    found, folder = model.predict(test.without_labels()), tmp_path / "state" / "in_domain"
    encoders = list(folder.glob("*.safetensors"))
    assert len(encoders) == 1
    test.eeg[:] *= 3
    validation.labels[:] = 1 - validation.labels
    again = InDomain(setup(tmp_path / "again", **options)).fit(train, validation, 0)
    assert [path.name for path in (tmp_path / "again/state/in_domain").glob("*.safetensors")] == [encoders[0].name]
    assert (tmp_path / "again/state/in_domain" / encoders[0].name).read_bytes() == encoders[0].read_bytes()
    assert not again._encoders.untrained("eeg")
    test.eeg[:] /= 3
    fresh = restored(model, InDomain(setup(tmp_path / "elsewhere", **options)))
    np.testing.assert_allclose(fresh.predict(test.without_labels()), found, rtol=1e-6)
    model.fit(train.of_subjects(sorted(set(train.subjects))[1:]), validation, 0)
    assert len(list(folder.glob("*.safetensors"))) == 2
    unfitted = InDomain(setup(tmp_path, **options))
    assert "EEG encoder pretrained in each fold" in unfitted.provenance
    assert "each fold's training subjects, 1 epochs" in unfitted.encoders["eeg"]


def test_pretraining_in_memory_learns_to_reconstruct(tmp_path: Path) -> None:
    params = setup(tmp_path).params.pretrain
    seconds = torch.arange(P * 200).view(P, 200) / 200
    frequency, phase = torch.rand(24, 3, 1, 1) * 4 + 3, torch.rand(24, 3, 1, 1) * 6
    windows = torch.sin(2 * torch.pi * frequency * seconds + phase)
    valid = torch.ones(24, 3, P, dtype=torch.bool)

    def error(epochs: int) -> float:
        recipe = params.model_copy(update={"epochs": epochs, "batch_size": 8, "learning_rate": 3e-3})
        encoder = pretrain_in_memory(windows, valid, recipe, torch.device("cpu"))
        with torch.inference_mode():
            return float((encoder(windows) - windows).square().mean())

    assert error(40) < 0.7 < error(1)
    assert error(2) == error(2)
    with pytest.raises(PhysiopipeError, match="nothing to pretrain"):
        pretrain_in_memory(windows, ~valid, params, torch.device("cpu"))

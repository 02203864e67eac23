from pathlib import Path

import numpy as np
import pytest
import torch
from made_cohort import store_cohort, study_of
from small_methods import parameters, setup, sides

from physiopipe.clips.embeddings import Encoders, encoder_inputs
from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.cross_validation import run_method
from physiopipe.experiments.predictions import read_predictions
from physiopipe.files import sha256_file
from physiopipe.methods.ours import Ours
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.weights import save_encoder

# Methods that small encoders make small. Rows with pretraining or a language model of their own have tests of their own
SMALL = (
    "always_high", "clip_prior", "chance", "handcrafted", "nearest_neighbours", "ecg_only", "eeg_only", "ours",
    "transductive", "gated", "cross_attention", "mixture",
)  # fmt: skip


@pytest.fixture
def ecg_encoder(tmp_path: Path) -> Path:
    torch.manual_seed(11)
    path = tmp_path / "ecg_encoder.safetensors"
    save_encoder(path, CrissCrossEncoder(parameters(tmp_path).pretrain.encoder), {"normalisation": "lead_zscore"})
    return path


def test_clip_probability_is_the_mean_over_its_windows(make_clips, tmp_path: Path) -> None:
    train, validation, test = sides(make_clips(subjects=6, clips=4, windows=3))
    model = Ours(setup(tmp_path, epochs=1)).fit(train, validation, 0)
    single = []
    for window in range(3):
        chosen = np.arange(window, len(test.clip_of), 3)
        one = make_clips(subjects=2, clips=4, windows=1)
        one.eeg[:], one.ecg[:] = test.eeg[chosen], test.ecg[chosen]
        single.append(model.predict(one))
    np.testing.assert_allclose(model.predict(test), np.mean(single, axis=0), rtol=1e-5)


def test_frozen_embeddings_from_the_cache_are_those_computed(make_clips, tmp_path: Path, monkeypatch) -> None:
    clips = make_clips(subjects=4, clips=3, windows=2)
    model = Ours(setup(tmp_path))
    first = model._embeddings(clips)
    again = Ours(setup(tmp_path))
    monkeypatch.setattr(Encoders, "_embed", lambda *_: pytest.fail("computed again"))
    np.testing.assert_array_equal(again._embeddings(clips), first)
    with torch.inference_mode():
        direct = model._two_encoders()(*encoder_inputs(clips, 100.0)).numpy()
    np.testing.assert_allclose(first, direct, rtol=1e-4, atol=1e-5)


def test_folds_and_seeds_share_embeddings_and_other_weights_do_not(
    make_clips, tmp_path: Path, ecg_encoder: Path
) -> None:
    train, validation, test = sides(make_clips(subjects=6, clips=3, windows=1))
    folder = tmp_path / "state" / "embeddings"
    Ours(setup(tmp_path, epochs=1)).fit(train, validation, 0).predict(test)
    assert len(list(folder.glob("*.npy"))) == 2 * 6  # a file a subject and modality
    Ours(setup(tmp_path, epochs=2, learning_rate=0.1)).fit(train, test, 1).predict(validation)
    assert len(list(folder.glob("*.npy"))) == 2 * 6
    Ours(setup(tmp_path, ecg_encoder, epochs=1)).fit(train, validation, 0)
    assert len(list(folder.glob("*.npy"))) == 2 * 6 + 4  # the EEG's are the same
    Ours(setup(tmp_path, epochs=1, eeg_scale_uv=50.0)).fit(train, train.of_subjects([]), 0)
    assert len(list(folder.glob("*.npy"))) == 2 * 6 + 4 + 4


def test_end_to_end_starts_from_the_encoders_and_leaves_them_for_the_next_fold(make_clips, tmp_path: Path) -> None:
    train, validation, test = sides(make_clips(subjects=6, clips=3, windows=1, patches=2))
    model = Ours(setup(tmp_path, frozen=False, epochs=1))
    before = {name: value.clone() for name, value in model._two_encoders().state_dict().items()}
    first = model.fit(train, validation, 0).predict(test)
    tuned = model._model.state_dict()
    assert any(not torch.equal(tuned[f"encoders.{name}"], value) for name, value in before.items())
    assert all(torch.equal(model._two_encoders().state_dict()[name], value) for name, value in before.items())
    np.testing.assert_array_equal(model.fit(train, validation, 0).predict(test), first)


def test_absent_channels_do_not_reach_the_embedding(make_clips, tmp_path: Path) -> None:
    clips = make_clips(subjects=1, clips=2, windows=2)
    clips.eeg_present[:, 3] = False
    clips.ecg_present[:, 1] = False
    clips.valid_patches[1] = 1
    plain = Ours(setup(tmp_path / "a"))._embeddings(clips)
    clips.eeg[:, 3] = 1e6
    clips.ecg[:, 1] = np.nan
    clips.eeg[1, :, 1:] = -7e5
    np.testing.assert_array_equal(Ours(setup(tmp_path / "b"))._embeddings(clips), plain)


def test_inputs_are_on_the_encoders_scale(make_clips) -> None:
    clips = make_clips(subjects=2, clips=2)
    eeg, ecg, eeg_valid, ecg_valid = encoder_inputs(clips, 100.0)
    np.testing.assert_allclose(eeg.numpy(), clips.eeg / 100, rtol=1e-6)
    np.testing.assert_allclose(ecg.mean(dim=(2, 3)).numpy(), 0, atol=1e-4)
    np.testing.assert_allclose(ecg.square().mean(dim=(2, 3)).numpy(), 1, rtol=1e-4)
    assert eeg_valid.all()
    assert ecg_valid.all()
    clips.ecg[:] *= 1e-6  # an undocumented unit: only the shape may matter
    torch.testing.assert_close(encoder_inputs(clips, 100.0)[1], ecg, rtol=1e-3, atol=1e-4)


def test_channels_pooling_and_unscaled_embeddings_run(make_clips, tmp_path: Path) -> None:
    train, validation, test = sides(make_clips(subjects=6, clips=3, windows=1, patches=2))
    model = Ours(setup(tmp_path, pooling="channels", epochs=1)).fit(train, validation, 0)
    assert model._embeddings(test).shape == (6, 160)
    plain = Ours(setup(tmp_path, standardise=False, epochs=1)).fit(train, validation, 0)
    assert (plain._model.get_buffer("deviation") == 1).all()
    assert np.isfinite(plain.predict(test)).all()


def test_provenance_says_what_is_untrained(tmp_path: Path, ecg_encoder: Path) -> None:
    assert Ours(setup(tmp_path, ecg_encoder)).provenance == "reimplementation (EEG encoder untrained)"
    weights = {"origin": "file", "path": str(ecg_encoder)}
    with pytest.raises(PhysiopipeError, match=r"not the file that encoders\.eeg_weights\.sha256 names"):
        Ours(setup(tmp_path, ecg_encoder, weights=weights))._encoders.encoder("eeg")  # not CBraMod's: no genuine row
    weights["sha256"] = sha256_file(ecg_encoder)
    trained = Ours(setup(tmp_path, ecg_encoder, weights=weights))
    assert trained.provenance == "reimplementation"
    loaded, expected = (dict(trained._encoders.encoder(side).state_dict()) for side in ("eeg", "ecg"))
    assert all(torch.equal(loaded[name], value) for name, value in expected.items())
    assert Ours(setup(tmp_path)).provenance == "reimplementation (EEG encoder untrained, ECG encoder untrained)"


def test_weights_that_are_not_there_are_said(tmp_path: Path) -> None:
    with pytest.raises(PhysiopipeError, match="needs the pretrained ECG encoder"):
        Ours(setup(tmp_path, tmp_path / "none.safetensors"))
    model = Ours(setup(tmp_path, weights={"origin": "file", "path": str(tmp_path / "none.pth")}))
    with pytest.raises(PhysiopipeError, match=r"none\.pth is missing"):
        model.fingerprint()


def test_a_run_is_repeatable_byte_for_byte_and_blind_to_test_labels(
    make_clips, tmp_path: Path, ecg_encoder: Path
) -> None:
    made = make_clips(subjects=6, clips=4, windows=1, patches=10)
    for name in ("a", "b"):
        folder = tmp_path / name
        cohort = store_cohort(folder, made)
        out = folder / "ours.parquet"
        run_method(study_of("ours", parameters(folder, epochs=2), cohort, ecg_encoder), out, folder / "ours.csv")
    for file in ("ours.parquet", "ours.csv"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    plain, about = read_predictions(tmp_path / "a" / "ours.parquet")
    assert about["provenance"] == "reimplementation (EEG encoder untrained)"
    assert about["inputs"] == ["eeg", "ecg"]
    assert len((tmp_path / "a" / "ours.csv").read_text().splitlines()) == 1 + 2 * 2
    tested = np.isin(made.subjects, plain["subject"].unique())
    made.labels[tested] = 1 - made.labels[tested]
    folder = tmp_path / "c"
    cohort = store_cohort(folder, made)
    run_method(study_of("ours", parameters(folder, epochs=2), cohort, ecg_encoder), folder / "o.parquet")
    other, _ = read_predictions(folder / "o.parquet")
    np.testing.assert_array_equal(plain["probability"], other["probability"])

"""Each ablation changes what it says and nothing else; encoders it needs are pretrained once."""

from pathlib import Path

import numpy as np
import pytest
from ablation_study import parameters, run
from made_cohort import study_of

from physiopipe.experiments.ablations import ABLATION_OF, changed_params, pretrained
from physiopipe.experiments.cross_validation import run_method
from physiopipe.experiments.predictions import read_predictions
from physiopipe.experiments.rival_settings import RIVAL_SETTINGS
from physiopipe.models.weights import read_metadata, read_tensors
from physiopipe.params import Params
from physiopipe.windows.store import WindowStore


def test_every_ablation_is_described_and_points_at_a_row_that_exists() -> None:
    assert all(spec.versus in {"", "ours", *ABLATION_OF} for spec in ABLATION_OF.values())
    assert len({spec.title for spec in ABLATION_OF.values()}) == len(ABLATION_OF)
    assert all(spec.title.startswith("LEAKY") == spec.leaky for spec in ABLATION_OF.values())


@pytest.mark.parametrize("name", list(ABLATION_OF))
def test_parameters_differ_in_what_the_ablation_says(tmp_path: Path, name: str) -> None:
    params = parameters(tmp_path, pretrain_epochs=1)
    changed, spec = changed_params(ABLATION_OF[name], params), ABLATION_OF[name]
    plain, other = (one.model_dump(mode="json") for one in (params, changed))
    sections = [name for name in plain if isinstance(plain[name], dict)]
    differing = {f"{a}.{b}" for a in sections for b in other[a] if plain[a].get(b) != other[a][b]}
    expected = {".".join(key.split(".")[:2]) for key in spec.changes} - {"encoders.eeg_weights"}
    epochs = {"pretrain.epochs"} if spec.ecg_encoder == "own" else set()  # these may happen to be the study's
    assert differing | epochs == expected | epochs


def test_masking_ablations_mask_one_way_only(tmp_path: Path) -> None:
    params = parameters(tmp_path)
    patch = changed_params(ABLATION_OF["patch_masking"], params).pretrain
    assert (patch.masking.patch_ratio, patch.masking.channel_ratio) == (0.5, 0.0)
    assert (patch.objective.patch_weight, patch.objective.channel_weight) == (1.0, 0.0)  # CBraMod's own loss
    channel = changed_params(ABLATION_OF["channel_masking"], params).pretrain
    assert (channel.masking.patch_ratio, channel.masking.channel_ratio) == (0.0, 0.25)


def test_an_encoder_is_pretrained_once_and_the_study_s_own_is_not_made_again(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    challenge, study = world / "windows" / "challenge", world / "ecg_encoder.safetensors"
    state = tmp_path / "pretrain"

    def encoder_of(name: str, params: Params) -> Path:
        spec = ABLATION_OF[name]
        return pretrained(spec, changed_params(spec, params), params, challenge, study, state)

    full = parameters(tmp_path)
    assert encoder_of("dual_masking", full) == study
    assert not state.exists()
    short = parameters(tmp_path, pretrain_epochs=1)
    found = {name: encoder_of(name, short) for name in ("dual_masking", "patch_masking", "channel_masking", "one_rate")}
    assert len(set(found.values()) | {study}) == 5
    assert all((path.parent / "metrics.json").exists() for path in found.values())
    tensors = [read_tensors(path)["encoder.layers.0.linear1.weight"].numpy() for path in found.values()]
    assert all(not np.array_equal(a, b) for i, a in enumerate(tensors) for b in tensors[i + 1 :])
    when = {path: path.stat().st_mtime_ns for path in found.values()}
    assert {name: encoder_of(name, short) for name in found} == found
    assert {path: path.stat().st_mtime_ns for path in found.values()} == when
    spoilt = found["one_rate"]
    content = spoilt.read_bytes()
    spoilt.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert encoder_of("one_rate", short) == spoilt
    assert f"{spoilt} is damaged" in capsys.readouterr().err
    assert read_tensors(spoilt).keys() == read_tensors(study).keys()
    assert spoilt.read_bytes() == content


def test_one_rate_takes_as_many_steps_as_all_of_them(world: Path, tmp_path: Path) -> None:
    params, spec = parameters(tmp_path), ABLATION_OF["one_rate"]
    study = world / "ecg_encoder.safetensors"
    store = WindowStore(world / "windows" / "challenge")
    assert len(store.rows("ecg", (200, 500))) == 3 * len(store.rows("ecg", (200,)))
    found = pretrained(spec, changed_params(spec, params), params, store.folder, study, tmp_path / "p")
    about, usual = read_metadata(found), read_metadata(study)
    assert about["rates_hz"] == "200"
    assert usual["rates_hz"] == "200 500"
    assert int(about["steps"]) == pytest.approx(int(usual["steps"]), rel=0.15)


def test_untrained_and_shared_encoders_are_what_they_say(world: Path, tmp_path: Path) -> None:
    _, about = run(world, tmp_path, "ecg_untrained")
    assert about["provenance"] == "reimplementation (EEG encoder untrained, ECG encoder untrained)"
    assert "note" not in about
    both, about = run(world, tmp_path, "both_untrained")
    assert "no weights were given" in str(about["note"])
    eeg, _ = run(world, tmp_path, "eeg_untrained")
    ours = tmp_path / "ours.parquet"
    study = study_of("ours", parameters(tmp_path), world / "windows", world / "ecg_encoder.safetensors")
    run_method(study, ours)
    plain, _ = read_predictions(ours)
    np.testing.assert_array_equal(eeg, plain["probability"])  # it was untrained already
    assert not np.array_equal(both, eeg)
    shared, about = run(world, tmp_path, "shared_encoder")
    assert about["provenance"] == "reimplementation (one encoder for both modalities)"
    assert not np.array_equal(shared, eeg)


def test_fewer_subjects_leaks_and_neighbours_run(world: Path, tmp_path: Path) -> None:
    quarter, _ = run(world, tmp_path, "train_25")
    half, _ = run(world, tmp_path, "train_50")
    assert not np.array_equal(quarter, half)
    leaky, about = run(world, tmp_path, "leaky_ours")
    assert about["leaky"]
    assert about["versus"] == "ours"
    assert len(leaky) == len(half)
    _, about = run(world, tmp_path, "leaky_neighbours")
    assert about["versus"] == "honest_neighbours"
    run(world, tmp_path, "honest_neighbours")


def test_an_own_encoder_says_how_long_it_was_pretrained(world: Path, tmp_path: Path) -> None:
    _, about = run(world, tmp_path, "channel_masking", pretrain_epochs=1)
    assert about["pretrain_epochs"] == 1
    assert about["versus"] == "dual_masking"


def test_a_network_stands_beside_itself_without_alignment(world: Path, tmp_path: Path) -> None:
    with_it, about = run(world, tmp_path, "brant_x_style_aligned")
    without, about_without = run(world, tmp_path, "brant_x_style_unaligned")
    assert with_it.shape == without.shape
    assert not np.array_equal(with_it, without)
    assert "aligned on the fold's training people" in str(about["provenance"])
    assert "not aligned" in str(about_without["provenance"])
    assert "ECG encoder pretrained" in str(about_without["provenance"])
    assert about_without["versus"] == "brant_x_style_aligned"


@pytest.mark.parametrize("name", sorted(RIVAL_SETTINGS))
def test_a_rivals_setting_differs_in_one_value_from_what_it_is_compared_with(name: str, tmp_path: Path) -> None:
    spec = RIVAL_SETTINGS[name]
    (key,) = spec.changes
    params = parameters(tmp_path)
    mine = changed_params(spec, params).model_dump(mode="json")["method"].get(spec.method, {})
    published = ABLATION_OF[spec.versus] if spec.versus else spec
    assert published.method == spec.method
    other = changed_params(published, params).model_dump(mode="json")["method"][spec.method]
    differ = {each for each in mine if mine[each] != other[each]}
    assert differ == ({key.rpartition(".")[2]} if spec.versus else set())
    assert set(published.changes) == {key}  # it says which choice it is

"""What is kept is used again, and never where a bit of it is wrong."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_cohort import store_challenge, store_cohort, study_of
from planted_clips import planted_clips
from small_methods import parameters

from physiopipe.checksums import checksum_of, kept_file, read_kept
from physiopipe.experiments.ablations import run_ablation
from physiopipe.experiments.cross_validation import CrossValidation, Study, run_method
from physiopipe.experiments.leaks import run_leaky
from physiopipe.experiments.robustness import run_robustness
from physiopipe.methods.handcrafted import Handcrafted
from physiopipe.methods.nearest_neighbours import NearestNeighbours
from physiopipe.methods.ours import Ours
from physiopipe.params import Params
from physiopipe.training.pretrain import PretrainFiles
from physiopipe.windows.pretraining import pretrain_on_store


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    return store_cohort(folder, planted_clips(subjects=6, clips=3, windows=1, patches=4, channels=(3, 2)))


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the methods that were fitted, fit by fit."""
    done: list[str] = []
    for kind in (Ours, Handcrafted, NearestNeighbours):
        fit = kind.fit

        def counted(self: Any, *args: Any, fit: Callable[..., Any] = fit) -> Any:
            done.append(self.name)
            return fit(self, *args)

        monkeypatch.setattr(kind, "fit", counted)
    return done


def small(tmp_path: Path, **settings: Any) -> Params:
    params = parameters(tmp_path, epochs=1, **settings)
    robustness = params.robustness.model_copy(
        update={"lost_modalities": ("eeg",), "dropped_eeg_channels": (2,), "noise_snr_db": ()}
    )
    return params.model_copy(update={"robustness": robustness})


# ---------------------------------------------------------------------------------------------- used again


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("handcrafted", {}),
        ("nearest_neighbours", {}),
        *((name, {"frozen": each}) for name in ("ours", "mixture") for each in (True, False)),
    ],
)
def test_robustness_restores_what_was_fitted(
    tmp_path: Path, cohort: Path, fits: list[str], name: str, settings: dict[str, Any]
) -> None:
    study = study_of(name, small(tmp_path, **settings), cohort)
    run_method(study, tmp_path / "plain.parquet")
    assert fits == [name]
    run_robustness(study, tmp_path / "robust.parquet")
    assert fits == [name]
    alone = study_of(name, small(tmp_path / "alone", **settings), cohort)
    run_robustness(alone, tmp_path / "alone.parquet")
    assert fits == [name, name]
    assert (tmp_path / "alone.parquet").read_bytes() == (tmp_path / "robust.parquet").read_bytes()
    run_method(alone, tmp_path / "after.parquet", tmp_path / "after.csv")  # and the other way round
    assert fits == [name, name]
    assert (tmp_path / "after.parquet").read_bytes() == (tmp_path / "plain.parquet").read_bytes()


def test_ablations_and_leaks_fit_only_what_is_new(tmp_path: Path, fits: list[str]) -> None:
    store_cohort(tmp_path, planted_clips(subjects=6, clips=3, windows=5, patches=4, channels=(3, 2)))
    store_challenge(tmp_path)
    params = small(tmp_path)
    pretrain = params.pretrain.model_copy(update={"epochs": 1, "batch_size": 8, "rate_weights": {200: 1.0, 500: 1.0}})
    params = params.model_copy(update={"pretrain": pretrain})
    encoder = tmp_path / "ecg_encoder.safetensors"
    names = ("loss.csv", "metrics.json", "reconstructions.npz")
    pretrain_on_store(
        tmp_path / "windows" / "challenge", params, PretrainFiles(encoder, *(tmp_path / name for name in names))
    )
    ours, neighbours = (
        study_of(name, params, tmp_path / "windows", encoder) for name in ("ours", "nearest_neighbours")
    )
    run_method(ours, tmp_path / "ours.parquet")
    run_method(neighbours, tmp_path / "neighbours.parquet")
    assert fits == ["ours", "nearest_neighbours"]
    run_ablation("honest_neighbours", ours, tmp_path / "a.parquet")
    run_ablation("eeg_untrained", ours, tmp_path / "b.parquet")  # no weights were given: it is the study's own
    run_ablation("dual_masking", ours, tmp_path / "c.parquet")  # the study's own pretraining
    assert len(fits) == 2
    run_ablation("leaky_neighbours", ours, tmp_path / "leaky.parquet")
    assert fits[2:] == ["nearest_neighbours"] * 5  # other windows are trained on: nothing of the honest fits serves
    run_leaky(neighbours, tmp_path / "again.parquet")
    assert len(fits) == 7


def test_a_fit_that_lost_its_predictions_is_not_made_again(tmp_path: Path, cohort: Path, fits: list[str]) -> None:
    study = study_of("ours", small(tmp_path), cohort)
    run_method(study, tmp_path / "a.parquet")
    for path in kept_of(study, "*.parquet"):
        path.unlink()
    run_method(study, tmp_path / "b.parquet")
    assert fits == ["ours"]
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_bytes_of_fitted_encoders_are_told(tmp_path: Path, cohort: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = study_of("ours", small(tmp_path, frozen=False), cohort)
    run_method(study, tmp_path / "a.parquet")
    (path,) = kept_of(study, "*.safetensors")
    assert f"1 fitted folds are kept in {path.parent}, {path.stat().st_size / 1e6:.1f} MB" in capsys.readouterr().out
    assert path.stat().st_size > 100_000


# -------------------------------------------------------------------------------------------- a bit that is wrong


def kept_of(study: Study, pattern: str) -> list[Path]:
    return sorted(study.state_folder.rglob(pattern))


def results_of(study: Study) -> dict[Path, bytes]:
    """Every kept file but seconds, which are never the same twice."""
    files = [path for path in kept_of(study, "*") if path.is_file()]
    return {path: path.read_bytes() for path in files if ".json" not in path.name and path.suffix != ".seconds"}


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << (at % 8)
    path.write_bytes(content)


@pytest.mark.parametrize("kind", ["finetune/*.parquet", "finetune/*.csv", "finetune/*.safetensors", "embeddings/*.npy"])
def test_a_flipped_bit_anywhere_is_noticed_named_and_mended(
    tmp_path: Path, cohort: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    study = study_of("ours", small(tmp_path), cohort)

    def everything() -> tuple[bytes, ...]:
        run_method(study, tmp_path / "a.parquet", tmp_path / "a.csv")
        run_robustness(study, tmp_path / "r.parquet")
        return tuple((tmp_path / name).read_bytes() for name in ("a.parquet", "a.csv", "r.parquet"))

    first = everything()
    kept = results_of(study)
    (victim, *_) = sorted(study.state_folder.glob(kind))
    for place in (0, len(kept[victim]) - 1):  # every bit: test_every_bit_of_a_kept_file_and_of_its_checksum_counts
        flip(victim, place)
        if not kind.endswith((".parquet", ".csv")):  # they are read only where predictions are to be made again
            for path in study.state_folder.glob("finetune/*.parquet"):
                path.unlink()
        capsys.readouterr()
        assert everything() == first
        said = capsys.readouterr().err
        assert f"{victim} is damaged" in said
        assert results_of(study) == kept


@pytest.mark.parametrize("kind", ["window_features/*.npy", "finetune/*.safetensors"])
def test_a_flipped_bit_in_features_or_a_regression_is_noticed(
    tmp_path: Path, cohort: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    study = study_of("handcrafted", small(tmp_path), cohort)
    run_method(study, tmp_path / "a.parquet")
    (victim, *_) = sorted(study.state_folder.glob(kind))
    whole = victim.read_bytes()
    flip(victim, len(whole) - 5)
    for path in study.state_folder.glob("finetune/*.parquet"):
        path.unlink()
    run_method(study, tmp_path / "b.parquet")
    assert f"{victim} is damaged" in capsys.readouterr().err
    assert victim.read_bytes() == whole
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_every_bit_of_a_kept_file_and_of_its_checksum_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, content = tmp_path / "kept.bin", bytes(range(64))
    for damaged in (path, checksum_of(path)):
        for at in range(64):
            with kept_file(path) as temporary:
                temporary.write_bytes(content)
            assert read_kept(path) == content
            flip(damaged, at)
            assert read_kept(path) is None
            assert f"{path} is damaged" in capsys.readouterr().err
            assert list(tmp_path.iterdir()) == []
    assert read_kept(path) is None
    assert capsys.readouterr().err == ""  # what was never there is not damaged


def test_a_file_without_its_checksum_is_not_there_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "kept.bin"
    with kept_file(path) as temporary:
        temporary.write_bytes(b"content")
    subprocess.run(["sha256sum", "--check", checksum_of(path).name], cwd=tmp_path, check=True, capture_output=True)
    checksum_of(path).unlink()  # a run that was killed between the two
    assert read_kept(path) is None
    assert capsys.readouterr().err == ""
    with pytest.raises(RuntimeError), kept_file(path):
        raise RuntimeError
    assert path.read_bytes() == b"content"


def test_nothing_that_is_kept_can_be_executed(tmp_path: Path, cohort: Path) -> None:
    for name in ("handcrafted", "ours"):
        run_method(study_of(name, small(tmp_path), cohort), tmp_path / "a.parquet")
    suffixes = {path.suffix for path in (tmp_path / "state").rglob("*") if path.is_file()}
    assert suffixes == {".npy", ".seconds", ".parquet", ".csv", ".json", ".safetensors", ".sha256"}
    for path in (tmp_path / "state").rglob("*.npy"):
        assert np.load(path, allow_pickle=False).dtype == np.float32


def test_another_run_of_the_same_study_has_nothing_to_make(tmp_path: Path, cohort: Path, fits: list[str]) -> None:
    study = study_of("gated", small(tmp_path), cohort)
    run_method(study, tmp_path / "a.parquet")
    before = {path: path.stat().st_mtime_ns for path in kept_of(study, "*")}
    validation = CrossValidation(study)
    validation.make_missing(validation.runs())
    assert {path: path.stat().st_mtime_ns for path in kept_of(study, "*")} == before
    assert fits == ["gated"]

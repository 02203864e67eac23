"""What `physiopipe export` writes loads strictly under CBraMod's names and says what it is."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode

from physiopipe.errors import PhysiopipeError
from physiopipe.models.export import export_encoder
from physiopipe.models.model_card import training_gflop
from physiopipe.models.weights import load_encoder, read_metadata, save_encoder
from physiopipe.params import Encoder, Pretrain, Run
from physiopipe.signals.leads import CLINICAL_LEADS
from physiopipe.training.arrays import WindowArrays
from physiopipe.training.pretrain import PretrainFiles, pretrain

SIZES = Encoder(layers=2)
RECIPE = Pretrain(encoder=SIZES, epochs=1, batch_size=4)
NAMES = Path(__file__).parents[1] / "models" / "cbramod_parameters.txt"  # of the authors' code, two layers
PROVENANCE = {
    "cohort": "PhysioNet/CinC Challenge 2021, CC BY 4.0",
    "channels": " ".join(CLINICAL_LEADS),
    "unit": "mV",
    "filter": "0.5-40 Hz",
    "windows_sha256": "ab" * 32,
}


def some_windows(count: int, seed: int) -> WindowArrays:
    generator = np.random.default_rng(seed)
    return WindowArrays(
        samples=generator.integers(-500, 500, (count, 12, 2, 200)).astype(np.int16),
        scale=np.full(count, 0.001, np.float32),
        valid_patches=np.full(count, 2, np.int16),
        channel_mask=np.ones((count, 12), np.bool_),
        rate_hz=np.resize([100, 500], count),
        window_id=generator.integers(0, 2**64, count, dtype=np.uint64),
        source=np.resize(np.array(["georgia", "ptb-xl"]), count),
        leads=CLINICAL_LEADS,
    )


def pretrained(folder: Path, sizes: Encoder = SIZES, cohort: str = PROVENANCE["cohort"]) -> PretrainFiles:
    names = ("ecg_encoder.safetensors", "loss.csv", "metrics.json", "reconstructions.npz")
    files = PretrainFiles(*(folder / name for name in names))
    params = RECIPE.model_copy(update={"encoder": sizes})
    run = Run(threads=1, device="cpu", state_folder=str(folder / "state"), log_folder="")
    provenance = PROVENANCE | {"cohort": cohort}
    pretrain(some_windows(8, 1), lambda _: np.arange(8), some_windows(4, 2), params, run, files, provenance)
    return files


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> PretrainFiles:
    return pretrained(tmp_path_factory.mktemp("pretrained"))


@pytest.fixture(scope="module")
def exported(files: PretrainFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "export"
    export_encoder(files.encoder, files.metrics, folder)
    return folder


def authors_names() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the authors' model with two layers."""
    found = (re.fullmatch(r"(\S+) \[([\d, ]+)\]", line) for line in NAMES.read_text().splitlines())
    return {match[1]: tuple(map(int, match[2].split(", "))) for match in found if match}


def test_both_files_hold_the_authors_names_and_shapes(exported: Path, files: PretrainFiles) -> None:
    trained = load_file(files.encoder)
    state = torch.load(exported / "pretrained_weights.pth", map_location="cpu", weights_only=True)
    for tensors in (load_file(exported / "model.safetensors"), state):
        assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == authors_names()
        assert all(tensor.dtype == torch.float32 and torch.equal(tensor, trained[n]) for n, tensor in tensors.items())


@pytest.mark.parametrize("name", ["model.safetensors", "pretrained_weights.pth"])
def test_round_trip(exported: Path, files: PretrainFiles, name: str) -> None:
    before, after = load_encoder(files.encoder, SIZES).eval(), load_encoder(exported / name, SIZES).eval()
    x = torch.randn(2, 12, 3, 200)
    with torch.no_grad():
        assert torch.equal(before(x), after(x))


def test_equal_inputs_give_equal_bytes(exported: Path, files: PretrainFiles, tmp_path: Path) -> None:
    export_encoder(files.encoder, files.metrics, tmp_path)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == ["README.md", "config.json", "model.safetensors", "pretrained_weights.pth"]
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (exported / path.name).read_bytes(), path.name


def test_card_says_what_the_encoder_is(exported: Path, files: PretrainFiles) -> None:
    card = (exported / "README.md").read_text()
    metrics = json.loads(files.metrics.read_text())
    for words in (
        "I II III aVR aVL aVF V1 V2 V3 V4 V5 V6",
        "100 Hz, 500 Hz",
        "0.5-40 Hz",
        "`lead_zscore`",
        f"{sum(t.numel() for t in load_file(files.encoder).values()):,}",
        "| georgia | CC BY 4.0 | United States | Perez Alday et al.",
        "| ptb-xl | CC BY 4.0 | Germany | Wagner et al.",
        "CBraMod(n_layer=2, nhead=8, dim_feedforward=800)",
        'CBraMod.from_pretrained("this/folder", strict=True)',
        f"| this encoder | {metrics['held_out']['total']:.4f} |",
        "several records of some patients",
        *(f"| {n.replace('_', ' ')} | {row['total']:.4f} |" for n, row in metrics["baselines"].items()),
    ):
        assert words in card, words
    assert "limb identities" in card
    head = yaml.safe_load(card.split("---\n")[1])
    assert (head["license"], head["pipeline_tag"]) == ("bsd-3-clause", "feature-extraction")
    (result,) = head["model-index"][0]["results"]
    assert result["metrics"][0]["value"] == round(metrics["held_out"]["total"], 4)
    assert head["datasets"] == read_metadata(files.encoder)["sources"].split()
    parameters = sum(t.numel() for t in load_file(files.encoder).values())
    assert f"{6 * parameters * 120 / 1e9:.2f} GFLOP for a window of 120 patches" in card
    assert "SIMULATED" not in card
    assert "ningbo" not in card  # was not trained on


def test_the_cards_cost_follows_from_what_it_states(exported: Path, files: PretrainFiles, tmp_path: Path) -> None:
    """Epochs are told where the parameters are this run's; the formula counts what torch counts in a training step."""
    export_encoder(files.encoder, files.metrics, tmp_path / "other", Pretrain(epochs=7))
    assert (tmp_path / "other/README.md").read_bytes() == (exported / "README.md").read_bytes()
    export_encoder(files.encoder, files.metrics, tmp_path / "same", RECIPE)
    cost = (tmp_path / "same/README.md").read_text().split("## Cost of training")[1].split("##")[0]
    assert "2 optimiser steps, 1 × 8 windows. **An estimate, not measured**" in cost
    parameters = sum(t.numel() for t in load_file(files.encoder).values())
    joules = 6 * parameters * 120 * 8 / 50e9 * 10
    assert f"and {joules / 3600:.2g} Wh" in cost
    counted = FlopCounterMode(display=False)
    encoder = load_encoder(files.encoder, SIZES)
    with counted:
        encoder(torch.randn(1, 12, 10, 200)).sum().backward()
    assert training_gflop(12, parameters) == pytest.approx(counted.get_total_flops() / 1e9, rel=0.15)


def test_card_of_physiopipes_own_lines_runs(exported: Path) -> None:
    """The lines that the card gives for loading here do load."""
    lines = re.findall(r"```python\n(.*?)```", (exported / "README.md").read_text(), re.DOTALL)[2]
    names: dict[str, Any] = {}
    exec(lines.replace('"model.safetensors"', repr(str(exported / "model.safetensors"))), names)
    assert names["encoder"].sizes == SIZES


def test_simulated_data_says_so(tmp_path: Path) -> None:
    files = pretrained(tmp_path, cohort="simulated Challenge 2021")
    export_encoder(files.encoder, files.metrics, tmp_path / "export")
    card = (tmp_path / "export" / "README.md").read_text()
    assert "**SIMULATED data" in card
    assert "none of their recordings were used" in card


def test_sizes_that_no_other_code_takes_are_refused(tmp_path: Path) -> None:
    files = pretrained(tmp_path, Encoder(layers=1, width=40, heads=4, position_kernel=(3, 3)))
    with pytest.raises(PhysiopipeError, match=r"width 40, position_kernel \(3, 3\)"):
        export_encoder(files.encoder, files.metrics, tmp_path / "export")
    assert not (tmp_path / "export").exists()


def test_what_does_not_belong_together_is_refused(files: PretrainFiles, tmp_path: Path) -> None:
    with pytest.raises(PhysiopipeError, match="dvc repro pretrain"):
        export_encoder(tmp_path / "none.safetensors", files.metrics, tmp_path / "export")
    with pytest.raises(PhysiopipeError, match=r"metrics\.json is missing"):
        export_encoder(files.encoder, tmp_path / "metrics.json", tmp_path / "export")
    metrics = json.loads(files.metrics.read_text()) | {"steps": 7}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(PhysiopipeError, match="steps 7, expected 2"):
        export_encoder(files.encoder, tmp_path / "metrics.json", tmp_path / "export")
    plain = {name: text for name, text in read_metadata(files.encoder).items() if name != "sources"}
    save_encoder(tmp_path / "plain.safetensors", load_encoder(files.encoder, SIZES), plain)
    with pytest.raises(PhysiopipeError, match="does not say sources"):
        export_encoder(tmp_path / "plain.safetensors", files.metrics, tmp_path / "export")
    assert not (tmp_path / "export").exists()


def test_braindecode_loads_it(exported: Path) -> None:
    """Where braindecode imports (it wants a torchaudio that matches torch)."""
    models = pytest.importorskip("braindecode.models", exc_type=ImportError)
    theirs = models.CBraMod.from_pretrained(str(exported), strict=True).eval()
    ours = load_encoder(exported / "model.safetensors", SIZES).eval()
    x = torch.randn(2, 12, 2, 200)
    with torch.no_grad():
        torch.testing.assert_close(theirs(x.flatten(2)), ours(x), atol=1e-4, rtol=0)

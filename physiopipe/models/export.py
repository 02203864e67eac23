"""A pretrained encoder as others load it: safetensors, the authors' .pth, braindecode's config.json, a model card."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_file, read_json, sha256_json, write_json
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.model_card import STATE_FILE, WEIGHTS_FILE, model_card
from physiopipe.models.weights import load_encoder, read_metadata, save_encoder
from physiopipe.patches import PATCH_SAMPLES

if TYPE_CHECKING:
    from physiopipe.params import Encoder, Pretrain

_FIXED = {"width": 200, "position_kernel": (19, 7)}  # sizes that the authors' code and braindecode do not let one set
_REQUIRED = ("cohort", "channels", "encoder", "normalisation", "parameters_sha256", "rates_hz", "sources", "steps",
             "train_windows")  # fmt: skip


def export_encoder(
    encoder_file: Path, metrics_file: Path, output: Path, recipe: "Pretrain | None" = None
) -> CrissCrossEncoder:
    """Write model.safetensors, pretrained_weights.pth, config.json and README.md into `output`, each of them whole.

    Both weight files hold the names and shapes of the authors' CBraMod; the .pth is a bare state dict, which
    `torch.load(weights_only=True)` takes. Equal inputs give equal bytes.

    Args:
        encoder_file: what pretraining wrote, with its metadata.
        metrics_file: the same run's results/pretrain/metrics.json.
        recipe: parameters of pretraining; the card tells the whole cost where they are those of this encoder.

    Raises:
        PhysiopipeError: a file is missing, is of another run, or the sizes are none that CBraMod's code can take.
    """
    from physiopipe.params import Encoder  # pydantic, which networks alone do without

    if not encoder_file.exists() or not metrics_file.exists():
        missing = metrics_file if encoder_file.exists() else encoder_file
        raise PhysiopipeError(f"{missing} is missing: pretrain first (`dvc repro pretrain`), or name another file.")
    metadata = read_metadata(encoder_file)
    if absent := [name for name in _REQUIRED if name not in metadata]:
        raise PhysiopipeError(
            f"{encoder_file} does not say {', '.join(absent)} in its metadata: expected a file that `physiopipe "
            "pretrain` wrote. Other weights need no export."
        )
    sizes = Encoder.model_validate_json(metadata["encoder"])
    wrong = [f"{name} {getattr(sizes, name)}" for name, value in _FIXED.items() if getattr(sizes, name) != value]
    if wrong:
        raise PhysiopipeError(
            f"{encoder_file} has {', '.join(wrong)}; CBraMod's code and braindecode fix width 200 and the "
            "positional kernel (19, 7), so neither could load it. Pretrain with these sizes to export."
        )
    metrics = read_json(metrics_file)
    for name in ("steps", "train_windows"):
        if str(metrics[name]) != metadata[name]:
            raise PhysiopipeError(
                f"{metrics_file} is of another run than {encoder_file}: {name} {metrics[name]}, expected "
                f"{metadata[name]}. Run `dvc repro pretrain`, or name the metrics of this encoder."
            )
    encoder = load_encoder(encoder_file, sizes)
    tensors = encoder.state_dict()
    save_encoder(output / WEIGHTS_FILE, encoder, metadata)
    with atomic_file(output / STATE_FILE) as temporary, temporary.open("wb") as handle:
        torch.save({name: tensor.clone() for name, tensor in tensors.items()}, handle)
    write_json(output / "config.json", _braindecode_config(sizes))
    parameters = sum(tensor.numel() for tensor in tensors.values())
    of_this_run = recipe and sha256_json(recipe.model_dump(mode="json")) == metadata["parameters_sha256"]
    with atomic_file(output / "README.md") as temporary:
        card = model_card(metadata, sizes, parameters, metrics, recipe.epochs if recipe and of_this_run else None)
        temporary.write_text(card, encoding="utf-8")
    return encoder


def _braindecode_config(sizes: "Encoder") -> dict[str, object]:
    """Arguments of `braindecode.models.CBraMod`, as its `from_pretrained` reads them."""
    return {
        "patch_size": PATCH_SAMPLES,
        "emb_dim": PATCH_SAMPLES,
        "n_layer": sizes.layers,
        "nhead": sizes.heads,
        "dim_feedforward": sizes.feedforward,
        "drop_prob": sizes.dropout,
        "return_encoder_output": True,
    }

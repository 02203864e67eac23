"""The README.md beside an exported encoder: what it is, what it was trained on, how good it is, how to load it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from physiopipe.cohorts.sources import SOURCE_INFO
from physiopipe.models.losses import TERMS
from physiopipe.patches import PATCH_SAMPLES

if TYPE_CHECKING:
    from physiopipe.params import Encoder

WEIGHTS_FILE, STATE_FILE = "model.safetensors", "pretrained_weights.pth"
_SIMULATED = "SIMULATED data: no recorded person. Use it to try the pipeline, for nothing else."
_NORMALISATIONS = {
    "lead_zscore": "each lead of a window to mean 0 and standard deviation 1 (over valid samples)",
    "record_zscore": "each window to mean 0 and standard deviation 1 over all its leads (over valid samples)",
    "millivolt": "millivolt, not scaled further",
}


# Of the estimate of cost, round numbers: `python benchmarks/encoder.py` did 40 to 66 GFLOP/s on one core of a server
PATCHES, CORE_GFLOP_S, CORE_W = 10, 50.0, 10.0


def model_card(
    metadata: Mapping[str, str],
    sizes: "Encoder",
    parameters: int,
    metrics: Mapping[str, Any],
    epochs: int | None = None,
) -> str:
    """Markdown with the front matter that the Hugging Face Hub reads.

    Args:
        metadata: of the encoder's file, as pretraining wrote it.
        parameters: number of the encoder's parameters.
        metrics: results/pretrain/metrics.json of the same run.
        epochs: passes over the training windows, where they are known.
    """
    simulated = "simulated" in metadata["cohort"].lower()
    parts = [
        _front_matter(metadata, metrics, simulated),
        "# ECG encoder (CBraMod architecture), pretrained by physiopipe",
        *([f"**{_SIMULATED}**"] if simulated else []),
        "A criss-cross transformer pretrained by dual-masked reconstruction (patches and whole leads) of 12-lead ECG, "
        "after Ghallab et al., *Leveraging Foundational Models and Simple Fusion for Multi-modal Physiological Signal "
        "Analysis*; the architecture and its parameter names are CBraMod's (Wang et al., ICLR 2025, arXiv:2412.07236).",
        "## Input\n\n" + _table(("What", "Value"), _input_rows(metadata, sizes)),
        "## How to load it\n\n" + _loading(sizes),
        "## Held-out reconstruction\n\n" + _losses(metrics),
        "## Model\n\n" + _table(("What", "Value"), _model_rows(metadata, sizes, parameters)),
        "## Cost of training\n\n" + _cost(metadata, parameters, epochs),
        "## Data, and licences\n\n" + _data(metadata, simulated),
        "## Use and limits\n\n" + _LIMITS,
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(metadata: Mapping[str, str], metrics: Mapping[str, Any], simulated: bool) -> str:
    """What the Hub reads: licence, task, data, and the held-out loss as the model's result."""
    import yaml  # networks alone do without

    data = f"{'SIMULATED ' * simulated}{metadata['cohort'].removeprefix('simulated ')}, held-out records"
    result = {
        "task": {"type": "feature-extraction", "name": "masked reconstruction of 12-lead ECG"},
        "dataset": {"type": "ecg", "name": data},
        "metrics": [
            {
                "type": "mse",
                "name": "mean squared error of z-scored leads; 1 is about what predicting zero has",
                "value": round(float(metrics["held_out"]["total"]), 4),
            }
        ],
    }
    content = {
        "license": "bsd-3-clause",
        "library_name": "physiopipe",
        "pipeline_tag": "feature-extraction",
        "tags": ["ecg", "cbramod", "masked-reconstruction"],
        "datasets": [f"simulated-{name}" if simulated else name for name in metadata["sources"].split()],
        "model-index": [{"name": "physiopipe ECG encoder", "results": [result]}],
    }
    return f"---\n{yaml.safe_dump(content, sort_keys=False, width=100)}---"


def training_gflop(channels: int, parameters: int) -> float:
    """GFLOP of one window of 10 patches, forwards and backwards: 6 operations a parameter and patch of a lead.

    The usual count of a transformer's matrix products (2 forwards, 4 backwards); attention's own products are left out.
    """
    return 6 * parameters * PATCHES * channels / 1e9


def _cost(metadata: Mapping[str, str], parameters: int, epochs: int | None) -> str:
    """An estimate by a stated formula; nothing here is measured, since a card must not depend on a clock."""
    channels = len(metadata["channels"].split())
    gflop = training_gflop(channels, parameters)
    windows = 1000 if epochs is None else epochs * int(metadata["train_windows"])
    seconds = gflop * windows / CORE_GFLOP_S
    passes = "" if epochs is None else f", {epochs} × {int(metadata['train_windows']):,} windows"
    return (
        f"{int(metadata['steps']):,} optimiser steps{passes}. **An estimate, not measured**: 6 operations a parameter "
        f"and patch (forwards and backwards), so {gflop:.2f} GFLOP for a window of {PATCHES * channels} patches. At "
        f"{CORE_GFLOP_S:.0f} GFLOP/s and {CORE_W:.0f} W a core of a CPU (assumed), {windows:,} windows take "
        f"{seconds:,.0f} s of one core ({seconds / 3600:.2g} hours) and {seconds * CORE_W / 3600:.2g} Wh; evaluation, "
        "memory and cooling are left out. Put in the rate and the power of your machine."
    )


_LIMITS = (
    "- Meant for features of resting ECG in research: transfer, comparison, fusion with other signals.\n"
    "- Not a medical device; it was never evaluated for diagnosis.\n"
    "- A patch is 200 samples at whatever rate a window has; the encoder is not told the rate.\n"
    "- The positional convolution (19, 7) was sized for 19 EEG channels: with 12 leads most of its taps see padding.\n"
    "- Held out by record, not by patient: PTB and PTB-XL have several records of some patients."
)


def _input_rows(metadata: Mapping[str, str], sizes: "Encoder") -> list[tuple[str, str]]:
    return [
        ("Shape", f"(batch, lead, patch, {PATCH_SAMPLES}), float32; trained on 10 patches"),
        ("Leads, in this order", metadata["channels"]),
        ("Sampling rates", ", ".join(f"{rate} Hz" for rate in metadata["rates_hz"].split())),
        ("Filter", metadata.get("filter", "not recorded")),
        ("Scale", f"`{metadata['normalisation']}`: {_NORMALISATIONS[metadata['normalisation']]}"),
        ("Missing leads, padding", "exactly 0"),
        ("Output", f"reconstruction, (batch, lead, patch, {PATCH_SAMPLES}); features before `proj_out`: {sizes.width}"),
    ]


def _model_rows(metadata: Mapping[str, str], sizes: "Encoder", parameters: int) -> list[tuple[str, str]]:
    return [
        ("Layers, heads", f"{sizes.layers}, {sizes.heads} (half over leads, half over patches)"),
        ("Width, feed-forward", f"{sizes.width}, {sizes.feedforward}"),
        ("Parameters", f"{parameters:,}"),
        ("Dropout while training", f"{sizes.dropout:g}"),
        ("Optimiser steps", f"{int(metadata['steps']):,}"),
        ("Training windows", f"{int(metadata['train_windows']):,}"),
        ("parameters_sha256", f"`{metadata['parameters_sha256']}`"),
        ("windows_sha256", f"`{metadata.get('windows_sha256', 'not recorded')}`"),
    ]


def _loading(sizes: "Encoder") -> str:
    arguments = f"n_layer={sizes.layers}, nhead={sizes.heads}, dim_feedforward={sizes.feedforward}"
    return f"""Both weight files hold exactly the names and shapes of `CBraMod` with these arguments, strictly.

The authors' code (github.com/wjq-learning/CBraMod):

```python
import torch
from models.cbramod import CBraMod

model = CBraMod({arguments})
model.load_state_dict(torch.load("{STATE_FILE}", map_location="cpu", weights_only=True), strict=True)
# or: from safetensors.torch import load_file; model.load_state_dict(load_file("{WEIGHTS_FILE}"), strict=True)
model.proj_out = torch.nn.Identity()  # features instead of reconstructions
```

braindecode (its parameter names are the same; windows are given flat, `(batch, lead, time)`):

```python
from braindecode.models import CBraMod

model = CBraMod.from_pretrained("this/folder", strict=True)  # reads config.json and {WEIGHTS_FILE}
# or: CBraMod({arguments}, return_encoder_output=True).load_state_dict(load_file("{WEIGHTS_FILE}"), strict=True)
model.proj_out = torch.nn.Identity()  # its encoder output is after proj_out: this gives the features
```

physiopipe:

```python
from pathlib import Path
from physiopipe.models.weights import load_encoder
from physiopipe.params import Encoder

encoder = load_encoder(Path("{WEIGHTS_FILE}"), Encoder.model_validate_json({sizes.model_dump_json()!r}))
```"""


def _losses(metrics: Mapping[str, Any]) -> str:
    rows = {"this encoder": metrics["held_out"], **metrics["baselines"]}
    table = _table(
        ("Reconstruction", *(term.replace("_", " ") for term in TERMS)),
        [(name.replace("_", " "), *(f"{row[term]:.4f}" for term in TERMS)) for name, row in rows.items()],
    )
    groups = [
        f"Total loss {what}: " + ", ".join(f"{name}{unit} {value:.4f}" for name, value in ordered) + "."
        for what, key, unit in (("by rate", "by_rate_hz", " Hz"), ("by source", "by_source", ""))
        if (ordered := sorted(metrics["held_out"].get(key, {}).items(), key=lambda item: (len(item[0]), item[0])))
    ]
    words = (
        f"Mean squared error (the paper's equations 4 and 5) on {metrics['held_out_windows']:,} windows of records "
        "that were not trained on, in the input's scale; the same masks for every row. The limb identities (Einthoven, "
        "Goldberger) are given the truth's scale, which the encoder does not see."
    )
    return "\n\n".join([words, table, *groups])


def _data(metadata: Mapping[str, str], simulated: bool) -> str:
    names = metadata["sources"].split()
    if simulated:
        return (
            f"{_SIMULATED} The simulation follows the layout of published sources ({', '.join(names)}); none of their "
            "recordings were used. Weights: BSD-3-Clause, as physiopipe."
        )
    known = [SOURCE_INFO[name] for name in names if name in SOURCE_INFO]
    rows = [(info.name, info.licence, info.country, info.citation) for info in known]
    rows += [(name, "unknown", "", "") for name in names if name not in SOURCE_INFO]
    return (
        f"{metadata['cohort']}. Weights: BSD-3-Clause, as physiopipe; whoever uses them credits the recordings:\n\n"
        + _table(("Source", "Licence of the data", "Recorded in", "Cite"), rows)
    )


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)

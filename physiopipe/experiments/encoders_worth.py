"""Ablations that ask what the encoders are worth: how they are read, what is beside them, and whether they learned.

Each differs in one thing from Ours, or from the row it is compared with. On ECG alone an encoder that was pretrained
stands against untrained ones, layer by layer, a logistic regression on each: five seeds are five draws, and a row's AUC
is their mean.
"""

from typing import Any

from physiopipe.experiments.ablation import Ablation

CLAIM = "encoders' worth"
_LAYERS: dict[str, tuple[str, int | None]] = {
    "patch_embedding": ("patch embedding", 0), "layer_1": ("layer 1", 1), "last_layer": ("last layer", None),
}  # fmt: skip
_LENGTHS = (1, 2, 8)  # epochs
_DRAWS = "An untrained ECG encoder, another draw for each of evaluate.seeds; the AUC is their mean."
_CHOICES: list[dict[str, Any]] = [
    {},
    {"pooling": "per_channel"},
    {"head": "logistic", "layer": 0},
    {"head": "logistic", "layer": 0, "pooling": "per_channel"},
    {"head": "logistic", "pooling": "per_channel"},
    {"head": "logistic", "pooling": "per_channel", "eeg_scale": "rms"},
    {"head": "logistic", "layer": 0, "eeg_amplitude": True, "ecg_amplitude": True},
    {"head": "logistic", "layer": 0, "pooling": "per_channel", "eeg_amplitude": True, "ecg_amplitude": True},
]


def _ours(title: str, changes: dict[str, Any], **more: Any) -> Ablation:
    return Ablation(title, CLAIM, {f"method.ours.{key}": value for key, value in changes.items()}, **more)


def _ecg_alone(layer: str, trained: bool) -> Ablation:
    words, number = _LAYERS[layer]
    changes = {"head": "logistic", "layer": number} | ({} if trained else {"untrained_seed": None})
    return Ablation(
        f"ECG alone, {words}, logistic: {'pretrained' if trained else 'untrained, a draw a seed'}",
        CLAIM,
        {f"method.ecg_only.{key}": value for key, value in changes.items()},
        method="ecg_only",
        ecg_encoder="study" if trained else "none",
        versus="ours" if trained else f"ecg_alone_{layer}",
        note="" if trained else _DRAWS,
    )


def _ecg_alone_pretrained(title: str, layer: str, changes: dict[str, Any]) -> Ablation:
    words, number = _LAYERS[layer]
    return Ablation(
        f"ECG alone, {words}, logistic: {title}",
        CLAIM,
        {"method.ecg_only.head": "logistic", "method.ecg_only.layer": number, **changes},
        method="ecg_only",
        ecg_encoder="own",
        versus=f"ecg_alone_{layer}",
    )


def _lengths() -> dict[str, Ablation]:
    """How long pretraining lasts, for the first and the last of what an encoder gives."""
    return {
        f"ecg_alone_{layer}_{epochs}_epochs": _ecg_alone_pretrained(
            f"pretrained for {epochs} epoch{'s' * (epochs > 1)}", layer, {"pretrain.epochs": epochs}
        )
        for epochs in _LENGTHS
        for layer in ("patch_embedding", "last_layer")
    }


ENCODERS_WORTH: dict[str, Ablation] = {
    "pooling_channels": _ours("Averaged over channels alone (the paper's words)", {"pooling": "channels"}),
    "pooling_mean_and_sd": _ours("Mean and SD over patches", {"pooling": "mean_and_sd"}),
    "pooling_per_channel": _ours("Each channel's embedding kept", {"pooling": "per_channel"}),
    "pooling_attention": _ours("Learned weights of patches and channels", {"pooling": "attention"}),
    "patch_embedding": _ours("Patch embedding in place of the last layer", {"layer": 0}),
    "layer_1": _ours("Layer 1 in place of the last", {"layer": 1}),
    "logistic_head": _ours("Logistic regression in place of the network", {"head": "logistic"}),
    "eeg_scale_rms": _ours("EEG divided by the training subjects' RMS", {"eeg_scale": "rms"}),
    "eeg_amplitude": _ours("Log amplitude of each EEG channel beside", {"eeg_amplitude": True}),
    "ecg_amplitude": _ours("Log amplitude of each ECG lead beside", {"ecg_amplitude": True}),
    "trained_along": _ours("Encoders trained along", {"frozen": False}),
    "in_domain_eeg": Ablation(
        "EEG encoder pretrained in each fold", CLAIM, method="in_domain", versus="eeg_scale_rms",
        note="Pretrained without labels on the EEG of the fold's training subjects; EEG divided by their RMS.",
    ),
    "best_by_validation": _ours(
        "Best of several read-outs by validation", {"choose": _CHOICES},
        note=f"In each fold the one of {len(_CHOICES)} read-outs with the best AUC of the validation subjects.",
    ),
    **{f"ecg_alone_{layer}{end}": _ecg_alone(layer, trained)
       for layer in _LAYERS for end, trained in (("", True), ("_untrained", False))},
    **_lengths(),
    "ecg_alone_four_layers": _ecg_alone_pretrained(
        "an encoder of 4 layers", "last_layer", {"pretrain.encoder.layers": 4}
    ),
}  # fmt: skip

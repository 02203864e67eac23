"""What the settings of a method of two encoders say in tables, and which of them contradict each other."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from physiopipe.clips.clip_data import Modality
from physiopipe.errors import PhysiopipeError
from physiopipe.methods.fusion_settings import FusionSettings, ReadOut

if TYPE_CHECKING:
    from physiopipe.params import Params

_KEPT = {
    "channels_and_patches": "averaged over channels and patches",
    "channels": "averaged over channels",
    "patches": "one a patch, averaged over channels",
    "mean_and_sd": "averaged over channels, their mean and SD over patches",
    "per_channel": "averaged over patches, each channel's kept",
    "attention": "of patches and of channels averaged by learned weights",
}
_SCALED = {
    "lead_zscore": "each lead of a window z-scored",
    "record_zscore": "the leads of a window z-scored together",
    "millivolt": "in mV",
}
_BESIDE = {"eeg": "each EEG channel", "ecg": "each ECG lead"}


def check_settings(
    name: str, settings: FusionSettings, params: "Params", modalities: Sequence[Modality], any_read_out: bool
) -> None:
    """Refuse settings of the method `name` that contradict each other or the encoders' sizes.

    Args:
        any_read_out: whether the method takes any pooling and head.

    Raises:
        PhysiopipeError: listing every fault.
    """
    if faults := list(_faults(name, settings, params, modalities, any_read_out)):
        raise PhysiopipeError(
            f"method.{name} has {len(faults)} fault(s):\n" + "\n".join(f"  {each}" for each in faults)
        )


def _faults(
    name: str, settings: FusionSettings, params: "Params", modalities: Sequence[Modality], any_read_out: bool
) -> Iterator[str]:
    sizes = {"eeg": params.encoders.eeg, "ecg": params.pretrain.encoder}
    layers = {each: sizes["ecg" if settings.shared_encoder else each].layers for each in modalities}
    for read_out in settings.read_outs:
        for each, most in layers.items():
            if read_out.layer is not None and read_out.layer > most:
                yield f"layer {read_out.layer}, and the {each.upper()} encoder has {most}: expected at most {most}"
        logistic, attention = read_out.head == "logistic", read_out.pooling == "attention"
        amplitude = read_out.eeg_amplitude or read_out.ecg_amplitude
        if logistic and attention:
            yield "pooling attention is learned by the network: with head logistic choose another pooling"
        if (logistic or amplitude) and not settings.frozen:
            yield "head logistic and amplitudes work on embeddings computed once: expected frozen: true"
        if (logistic or attention or amplitude) and not any_read_out:
            yield f"{name} has heads of its own: expected head network, a pooling without attention, no amplitude"
    if settings.choose and (not settings.frozen or not any_read_out):
        yield "choose needs frozen: true, and a method without heads of its own: expected []"


def provenance_of(settings: FusionSettings, untrained: Sequence[Modality]) -> str:
    """Where the row comes from, and whose encoders have learned nothing."""
    notes = [f"{each.upper()} encoder untrained" for each in untrained]
    if settings.shared_encoder:
        notes.append("one encoder for both modalities")
    return f"reimplementation ({', '.join(notes)})" if notes else "reimplementation"


def reads_of(
    read_out: ReadOut, modalities: Sequence[Modality], eeg_scale_uv: float | None, ecg_normalisation: str
) -> str:
    """What is taken of each modality; eeg_scale_uv None: the EEG is divided by its RMS."""
    divisor = "the training subjects' RMS" if eeg_scale_uv is None else f"{eeg_scale_uv:g} µV"
    words = {"eeg": f"EEG (divided by {divisor})", "ecg": f"ECG ({_SCALED[ecg_normalisation]})"}
    asked = {"eeg": read_out.eeg_amplitude, "ecg": read_out.ecg_amplitude}
    beside = [_BESIDE[each] for each in modalities if asked[each]]
    amplitudes = f", and the log amplitude of {' and of '.join(beside)}" if beside else ""
    return f"Reads {' and '.join(words[each] for each in modalities)}{amplitudes}."


def details_of(settings: FusionSettings, standardised: str, output: str) -> str:
    """What becomes of the embeddings, and which head is kept."""
    trained = "Encoders frozen" if settings.frozen else "Encoders trained along"
    if settings.choose:
        return (
            f"{trained}; embeddings {standardised}; of {len(settings.choose)} ways to read them "
            f"({'; '.join(_read_out_words(each) for each in settings.choose)}), the one of best validation AUC."
        )
    end = f"of {settings.epochs} epochs, the one of best validation AUC."
    if settings.head == "logistic":
        end = "logistic regression whose penalty has the best validation AUC."
    layer = "" if settings.layer is None else f" {_layer_words(settings.layer)}"
    return f"{trained}; embeddings{layer} {standardised} and {_KEPT[output]}; {end}"


def _read_out_words(read_out: ReadOut) -> str:
    layer = "of the last layer" if read_out.layer is None else _layer_words(read_out.layer)
    words = [f"{read_out.head} head", layer, _KEPT[read_out.pooling]]
    words += ["EEG by its RMS"] if read_out.eeg_scale == "rms" else []
    beside = [kind for kind, there in (("EEG", read_out.eeg_amplitude), ("ECG", read_out.ecg_amplitude)) if there]
    return ", ".join([*words, *(f"{kind} log amplitude" for kind in beside)])


def _layer_words(layer: int) -> str:
    return f"of layer {layer}" if layer else "of the patch embedding"

"""Time-LLM: each channel's patches, rewritten in a frozen GPT-2's terms, after a prompt that describes the channel.

Source: Jin et al., ICLR 2024, arXiv 2310.01728. The authors publish a forecaster: the head (flatten, one linear layer),
the prompt's wording and the validation people who choose the epoch are ours, and so is a sigmoid for each task. As in
their code each channel of a window is first brought to mean 0 and variance 1: amplitudes are lost.
"""

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from physiopipe.clips.clip_data import F32, MODALITIES, ClipData
from physiopipe.methods.base import Arrays, Setup
from physiopipe.methods.language_models import LanguageModelMethod, LanguageModelSettings, Steps
from physiopipe.params.section import Count, LearningRate

if TYPE_CHECKING:
    from torch import Tensor, nn

    from physiopipe.models.gpt2_body import Body
    from physiopipe.models.prompts import PromptCache
    from physiopipe.models.time_llm import TimeLLM


class TimeLLMSettings(LanguageModelSettings):
    """Time-LLM; the defaults are the authors' where they publish any."""

    patch_samples: Count = Field(16, description="samples of a patch, at 128 Hz")
    stride_samples: Count = Field(8, description="samples from one patch to the next, at 128 Hz")
    d_model: Count = Field(32, description="width of a patch token before it is rewritten (published: 8 to 32)")
    d_ff: Count = Field(128, description="width of a head of the rewriting, and features the classifier sees")
    heads: Count = Field(8, description="attention heads of the rewriting")
    prototypes: Count = Field(1000, description="combinations of the vocabulary that patches are written in")
    prompt_digits: Count | None = Field(
        None, description="significant digits of a prompt's numbers; null: as many as float32 has (published)"
    )
    prompt_cache_mb: int = Field(
        2048, ge=0, description="most memory for the prompts' keys and values, MB; what does not fit is computed anew"
    )
    epochs: Count = Field(10, description="passes over the training windows; validation people choose one")
    batch_size: Count = Field(24, description="windows of a step")
    learning_rate: LearningRate = Field(1e-3, description="of Adam, constant (published: 1e-4 to 2e-2, by data set)")

    @model_validator(mode="after")
    def _features_fit(self) -> Self:
        if self.gpt2.origin == "random" and self.d_ff > self.gpt2.width:
            raise ValueError(f"d_ff {self.d_ff}, more than gpt2.width {self.gpt2.width}: take at most that")
        return self

    def network(self, body: "Body", channels: int, samples: int, tasks: int) -> "TimeLLM":
        """An untrained network around a language model; new weights are drawn from torch's generator."""
        from physiopipe.models.time_llm import TimeLLM

        return TimeLLM(
            body,
            channels=channels,
            samples=samples,
            classes=tasks,
            patch_samples=self.patch_samples,
            stride_samples=self.stride_samples,
            d_model=self.d_model,
            d_ff=self.d_ff,
            heads=self.heads,
            prototypes=self.prototypes,
            dropout=self.dropout,
        )


class _Prompts(NamedTuple):
    """Prompts of windows, and which window of the cache one is, by the digest of its samples."""

    cache: "PromptCache"
    place: dict[bytes, int]


class TimeLLMMethod(LanguageModelMethod):
    """Patches of a channel → prototypes → GPT-2, after the channel's prompt → flatten → an output a task."""

    name = "time_llm"
    title = "Time-LLM"
    note = "Each channel's patches after a prompt to a frozen GPT-2; blind to amplitude; head ours, an output a task."
    Settings: ClassVar[type[TimeLLMSettings]] = TimeLLMSettings
    told_elsewhere = ("gpt2", "prompt_cache_mb")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._prompts: _Prompts | None = None  # copies of a method share what `precompute` has prepared
        self._sentences: tuple[str, str] = ("", "")

    @property
    def _section(self) -> TimeLLMSettings:
        return self.setup.section(self.name, self.Settings)

    def fingerprint(self) -> dict[str, Any]:
        found = super().fingerprint()
        del found["settings"]["prompt_cache_mb"]  # what is kept and what is computed anew are the same, bit for bit
        return found

    def precompute(self, clips: ClipData) -> None:
        """Prepare the prompts of all windows: the keys of each are computed once, when a fit first needs them."""
        super().precompute(clips)
        with self._threads():
            self._sentences = _sentences(clips)
            self._prompts = self._prompts_of(clips, limit_bytes=self._section.prompt_cache_mb << 20)

    def _network(self) -> "nn.Module":
        from physiopipe.models.time_llm import Prompted

        # nothing of the language model is trained: all fits share it
        return Prompted(self._section.network(self._gpt2.loaded.body, **self._sizes))

    def _optimiser(self, net: "nn.Module") -> Steps:
        import torch

        weights = [weight for weight in net.parameters() if weight.requires_grad]
        return Steps(torch.optim.Adam(weights, lr=self._section.learning_rate, fused=True), weights, None)

    def _prepare(self, train: ClipData, validation: ClipData) -> None:
        sentences = _sentences(train)
        known = self._prompts is not None and sentences == self._sentences
        if known and all(self._places(clips) is not None for clips in (train, validation)):
            return
        self._sentences = sentences
        self._prompts = self._prompts_of(train, validation, limit_bytes=self._section.prompt_cache_mb << 20)

    def _about(self) -> dict[str, Any]:
        return {"sentences": list(self._sentences)}

    def _restore_scaler(self, arrays: Arrays, about: dict[str, Any]) -> None:  # noqa: ARG002
        data, task = about["sentences"]
        if (data, task) != self._sentences:
            self._sentences, self._prompts = (data, task), None

    def _inputs(self, clips: ClipData) -> "tuple[Tensor, ...]":
        """Windows, and which of the network's prompts are theirs: those prepared, or their own for once."""
        import torch

        signals, places = torch.from_numpy(self._centred(clips)), self._places(clips)
        prompts = self._prompts
        if places is None:
            prompts = self._prompts_of(clips, limit_bytes=0)
            places = [prompts.place[digest] for digest in _digests(clips)]
        self._net.prompts = prompts.cache if prompts else None
        return signals, torch.tensor(places, dtype=torch.int64)

    def _places(self, clips: ClipData) -> list[int] | None:
        """Which of the prepared windows these are; None where some are not among them."""
        known = self._prompts.place if self._prompts else {}
        digests = _digests(clips)
        return [known[digest] for digest in digests] if all(digest in known for digest in digests) else None

    def _prompts_of(self, *several: ClipData, limit_bytes: int) -> _Prompts:
        """Prompts of all windows of these clips, each from its window alone; no keys are computed yet."""
        import torch

        from physiopipe.models.prompts import PromptCache, prompt_beginning, prompt_statistics, prompt_texts
        from physiopipe.models.time_llm import normalise

        body, tokenizer = self._gpt2.loaded
        texts: list[str] = []
        for clips in several:
            for window in torch.from_numpy(self._centred(clips)):  # by itself: no digit depends on other windows
                statistics = prompt_statistics(normalise(window[None]).windows[0])
                texts += prompt_texts(statistics, *self._sentences, self._section.prompt_digits)
        shared = len(tokenizer.encode([prompt_beginning(*self._sentences)])[0])
        channels = several[0].eeg.shape[1] + several[0].ecg.shape[1]
        cache = PromptCache(body.to(self._device), tokenizer.encode(texts), channels, limit_bytes, shared)
        digests = [digest for clips in several for digest in _digests(clips)]
        return _Prompts(cache, {digest: place for place, digest in enumerate(digests)})

    def _centred(self, clips: ClipData) -> F32:
        """Windows of mean 0; where there is no signal they are 0, too."""
        signals, known = self._signals(clips), self._known(clips)
        mean = signals.sum(-1, dtype=np.float64) / np.maximum(known.sum(-1), 1)
        signals -= mean[..., None].astype(np.float32)
        signals[~known] = 0
        return signals


def _sentences(clips: ClipData) -> tuple[str, str]:
    """What a prompt says of the data and of the task."""
    seconds = clips.eeg.shape[2]
    data = f"EEG of {clips.eeg.shape[1]} channels and ECG of {clips.ecg.shape[1]}, {seconds} s at 128 Hz."
    return data, f"high or low {', '.join(clips.tasks)}."


def _digests(clips: ClipData) -> list[bytes]:
    """Of each window, both modalities."""
    return [b"".join(pair) for pair in zip(*(clips.digests(each).tolist() for each in MODALITIES), strict=True)]

"""The criss-cross encoder of CBraMod (Wang et al., ICLR 2025, arXiv 2412.07236), for EEG and ECG alike.

Parameter names and shapes are those of the authors' checkpoints, so that theirs load here and ours load in their code.
Known limits: a patch is 200 samples at whatever rate the window has; the positional kernel (19, 7) was sized for 19
EEG channels, and with 2 or 12 leads most of its taps see padding; the group norms of the patch embedding take their
statistics over the whole window, padding included.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from physiopipe.errors import PhysiopipeError
from physiopipe.models import cpu_kernels
from physiopipe.models.dropout import Dropout
from physiopipe.patches import PATCH_SAMPLES

if TYPE_CHECKING:
    from physiopipe.params import Encoder

_FEATURES_PER_FILTER = 8  # positions at which the first convolution sees a patch: kernel 49, stride 25, padding 24
_FILTER_GROUPS = 5


class PatchEmbedding(nn.Module):
    """Patches to vectors: time convolutions plus amplitude spectrum, plus a convolution that encodes position."""

    def __init__(self, sizes: "Encoder") -> None:
        super().__init__()
        width, filters = sizes.width, sizes.width // _FEATURES_PER_FILTER
        rows, columns = sizes.position_kernel
        self.positional_encoding = nn.Sequential(
            nn.Conv2d(width, width, (rows, columns), padding=(rows // 2, columns // 2), groups=width)
        )
        self.mask_encoding = nn.Parameter(torch.zeros(PATCH_SAMPLES), requires_grad=False)
        self.proj_in = nn.Sequential(
            nn.Conv2d(1, filters, (1, 49), stride=(1, 25), padding=(0, 24)),
            nn.GroupNorm(_FILTER_GROUPS, filters),
            nn.GELU(),
            nn.Conv2d(filters, filters, (1, 3), padding=(0, 1)),
            nn.GroupNorm(_FILTER_GROUPS, filters),
            nn.GELU(),
            nn.Conv2d(filters, filters, (1, 3), padding=(0, 1)),
            nn.GroupNorm(_FILTER_GROUPS, filters),
            nn.GELU(),
        )
        self.spectral_proj = nn.Sequential(nn.Linear(PATCH_SAMPLES // 2 + 1, width), Dropout(sizes.dropout))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Embed x (B, C, P, 200), masked patches (mask (B, C, P), true) replaced first; return (B, C, P, width)."""
        batch, channels, patches, samples = x.shape
        if mask is not None:
            x = torch.where(mask.unsqueeze(-1), self.mask_encoding, x)
        in_time = self.proj_in(x.reshape(batch, 1, channels * patches, samples))
        in_time = in_time.permute(0, 2, 1, 3).reshape(batch, channels, patches, -1)
        spectrum = torch.fft.rfft(x.float(), norm="forward").abs().to(x.dtype)
        embedded: Tensor = in_time + self.spectral_proj(spectrum)
        position = self._encode_position(embedded.permute(0, 3, 1, 2))
        return embedded + position.permute(0, 2, 3, 1)

    def _encode_position(self, x: Tensor) -> Tensor:
        if cpu_kernels.fits(x):
            return cpu_kernels.depthwise(x, *self.positional_encoding.parameters())
        position: Tensor = self.positional_encoding(x)
        return position


class SelfAttention(nn.Module):
    """Multi-head self-attention with the parameters of `torch.nn.MultiheadAttention`, through fused attention."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, over: int, bias: Tensor | None = None) -> Tensor:
        """Let each token of x (B, C, P, width) attend to those that differ from it along dimension `over` (1 or 2).

        bias, broadcastable to (B, P or C, heads, length, length), is added to the scores. x may be a strided view.
        """
        tokens = x.reshape(-1, x.shape[-1])  # projected where they lie: no copy before the matrix product
        projected = torch.addmm(self.in_proj_bias, tokens, self.in_proj_weight.t())
        heads = projected.view(*x.shape[:3], 3, self.heads, -1)
        heads = heads.permute(3, 0, 2, 4, 1, 5) if over == 1 else heads.permute(3, 0, 1, 4, 2, 5)
        probability = self.dropout if self.training else 0.0
        if cpu_kernels.fits(x):
            attended = cpu_kernels.attention(heads, bias, probability)
        else:
            query, key, value = heads.flatten(1, 2)  # fused attention wants four dimensions
            bias = None if bias is None else bias.flatten(0, 1)
            attended = functional.scaled_dot_product_attention(query, key, value, bias, probability)
            attended = attended.view(heads.shape[1:])
        ordered = attended.permute(0, 3, 1, 2, 4) if over == 1 else attended.permute(0, 1, 3, 2, 4)
        mixed: Tensor = self.out_proj(ordered.reshape(*x.shape))
        return mixed


class CrissCrossLayer(nn.Module):
    """One pre-norm layer: half the width attends over channels, the other half over patches; then feed-forward."""

    def __init__(self, sizes: "Encoder") -> None:
        super().__init__()
        half = sizes.width // 2
        self.self_attn_s = SelfAttention(half, sizes.heads // 2, sizes.dropout)
        self.self_attn_t = SelfAttention(half, sizes.heads // 2, sizes.dropout)
        self.linear1 = nn.Linear(sizes.width, sizes.feedforward)
        self.linear2 = nn.Linear(sizes.feedforward, sizes.width)
        self.norm1 = nn.LayerNorm(sizes.width)
        self.norm2 = nn.LayerNorm(sizes.width)
        self.dropout = Dropout(sizes.dropout)
        self.dropout1 = Dropout(sizes.dropout)
        self.dropout2 = Dropout(sizes.dropout)

    def forward(self, x: Tensor, bias_s: Tensor | None = None, bias_t: Tensor | None = None) -> Tensor:
        """Transform x (B, C, P, width); the biases are added to the attention scores over channels and patches."""
        x = x + self.dropout1(self._attend(self.norm1(x), bias_s, bias_t))
        transformed: Tensor = x + self.dropout2(self._feed(self.norm2(x)))
        return transformed

    def _feed(self, x: Tensor) -> Tensor:
        first, second = self.linear1, self.linear2
        if cpu_kernels.fits(x):
            probability = self.dropout.probability if self.training else 0.0
            return cpu_kernels.feed_forward(x, first.weight, first.bias, second.weight, second.bias, probability)
        fed: Tensor = second(self.dropout(functional.gelu(first(x))))
        return fed

    def _attend(self, x: Tensor, bias_s: Tensor | None, bias_t: Tensor | None) -> Tensor:
        over_channels, over_patches = x.chunk(2, dim=-1)
        return torch.cat(
            (self.self_attn_s(over_channels, 1, bias_s), self.self_attn_t(over_patches, 2, bias_t)), dim=-1
        )


class CrissCrossLayers(nn.Module):
    """The stack of layers; a module of its own because the authors' names say `encoder.layers.<i>`."""

    def __init__(self, sizes: "Encoder") -> None:
        super().__init__()
        self.layers = nn.ModuleList(CrissCrossLayer(sizes) for _ in range(sizes.layers))

    def forward(
        self, x: Tensor, bias_s: Tensor | None = None, bias_t: Tensor | None = None, first: int | None = None
    ) -> Tensor:
        """Pass x (B, C, P, width) through every layer, or the `first` ones; no norm follows (the authors have none)."""
        for layer in self.layers[:first]:
            x = layer(x, bias_s, bias_t)
        return x


class CrissCrossEncoder(nn.Module):
    """CBraMod: windows (B, C, P, 200) to reconstructions of the same shape, or to features (B, C, P, width).

    Weights are drawn from torch's generator: seed it first. Sizes that do not fit together raise PhysiopipeError.
    """

    def __init__(self, sizes: "Encoder") -> None:
        super().__init__()
        _check_sizes(sizes)
        self.sizes = sizes
        self.patch_embedding = PatchEmbedding(sizes)
        self.encoder = CrissCrossLayers(sizes)
        self.proj_out = nn.Sequential(nn.Linear(sizes.width, PATCH_SAMPLES))
        for module in self.modules():  # as the authors initialise theirs
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if isinstance(module, SelfAttention):
                nn.init.xavier_uniform_(module.in_proj_weight)
                nn.init.zeros_(module.out_proj.bias)

    def compile_layers(self, **options: Any) -> None:
        """Compile the criss-cross layer once, for all layers: they differ in their weights alone.

        options are those of `torch.compile`. It happens in place: the names of the parameters stay.
        """
        for layer in self.encoder.layers:
            layer.compile(dynamic=False, **options)

    def features(
        self, x: Tensor, mask: Tensor | None = None, valid: Tensor | None = None, layer: int | None = None
    ) -> Tensor:
        """Features (B, C, P, width) of windows x (B, C, P, 200), float32.

        mask (B, C, P) bool: patches replaced by the mask token. valid (B, C, P) bool, optional: patches that others
        may attend to; the authors' model, and so the default here, lets every patch be attended to. layer: the one
        whose output is given, 0 for the patch embedding; None: the last.
        """
        if x.ndim != 4 or x.shape[-1] != PATCH_SAMPLES:
            raise ValueError(f"expected windows (batch, channel, patch, {PATCH_SAMPLES}), found {tuple(x.shape)}")
        bias_s = bias_t = None
        if valid is not None:
            bias_s, bias_t = _attention_bias(valid.transpose(1, 2), x.dtype), _attention_bias(valid, x.dtype)
        encoded: Tensor = self.encoder(self.patch_embedding(x, mask), bias_s, bias_t, layer)
        return encoded

    def forward(self, x: Tensor, mask: Tensor | None = None, valid: Tensor | None = None) -> Tensor:
        """Reconstruct windows x (B, C, P, 200); mask and valid as in `features`."""
        reconstructed: Tensor = self.proj_out(self.features(x, mask, valid))
        return reconstructed


def mean_features(features: Tensor, valid: Tensor, over_patches: bool = True) -> Tensor:
    """Average features (B, C, P, width) over valid channels and patches: (B, width).

    valid: (B, C, P) bool. With over_patches false the average is over channels alone: (B, P, width), zeros for a
    patch that no channel has.
    """
    weight = valid.to(features.dtype).unsqueeze(-1)
    over = (1, 2) if over_patches else (1,)
    total: Tensor = (features * weight).sum(over)
    return total / weight.sum(over).clamp(min=1)


def _attention_bias(valid: Tensor, dtype: torch.dtype) -> Tensor:
    """Scores' bias (..., 1, 1, length) of keys valid (..., length): -inf if not, but where no key is, 0 for all."""
    excluded = ~valid & valid.any(-1, keepdim=True)
    bias = torch.zeros(valid.shape, dtype=dtype, device=valid.device).masked_fill_(excluded, -torch.inf)
    return bias[..., None, None, :]


def _check_sizes(sizes: "Encoder") -> None:
    step = _FEATURES_PER_FILTER * _FILTER_GROUPS
    if sizes.width % step or sizes.width % sizes.heads:
        raise PhysiopipeError(
            f"encoder width {sizes.width} with {sizes.heads} heads: the width must be a multiple of {step} (filters of "
            f"the patch embedding) and of the heads; CBraMod has 200 and 8."
        )
    if not all(size % 2 for size in sizes.position_kernel):
        raise PhysiopipeError(f"encoder position_kernel {sizes.position_kernel}: both sizes must be odd, as (19, 7).")

"""CBraMod as its users run it, for benchmarks: the authors' structure and names in plain PyTorch, eager and float32.

One `nn.MultiheadAttention` per direction, the copies and reshapes of the published code
(github.com/wjq-learning/CBraMod, MIT), its convolutions and its dropout. `tests/benchmarks/test_encoder.py` holds it to
the numbers of the authors' own code, as the encoder of the package is.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from physiopipe.params import PATCH_SAMPLES, Encoder


class PeerPatchEmbedding(nn.Module):
    """Time convolutions, amplitude spectrum and positional convolution."""

    def __init__(self, sizes: Encoder) -> None:
        super().__init__()
        width, filters, kernel = sizes.width, sizes.width // 8, sizes.position_kernel
        self.width = width
        self.positional_encoding = nn.Sequential(
            nn.Conv2d(width, width, kernel, padding=(kernel[0] // 2, kernel[1] // 2), groups=width)
        )
        self.mask_encoding = nn.Parameter(torch.zeros(PATCH_SAMPLES), requires_grad=False)
        self.proj_in = nn.Sequential(
            nn.Conv2d(1, filters, (1, 49), stride=(1, 25), padding=(0, 24)),
            nn.GroupNorm(5, filters),
            nn.GELU(),
            nn.Conv2d(filters, filters, (1, 3), padding=(0, 1)),
            nn.GroupNorm(5, filters),
            nn.GELU(),
            nn.Conv2d(filters, filters, (1, 3), padding=(0, 1)),
            nn.GroupNorm(5, filters),
            nn.GELU(),
        )
        self.spectral_proj = nn.Sequential(nn.Linear(PATCH_SAMPLES // 2 + 1, width), nn.Dropout(sizes.dropout))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Embed x (B, C, P, 200), patches of mask (B, C, P) replaced; return (B, C, P, width)."""
        batch, channels, patches, samples = x.shape
        masked = x
        if mask is not None:
            masked = x.clone()
            masked[mask] = self.mask_encoding
        masked = masked.contiguous().view(batch, 1, channels * patches, samples)
        embedded = self.proj_in(masked)
        embedded = embedded.permute(0, 2, 1, 3).contiguous().view(batch, channels, patches, self.width)
        spectrum = torch.fft.rfft(masked.contiguous().view(-1, samples), dim=-1, norm="forward")
        amplitude = torch.abs(spectrum).contiguous().view(batch, channels, patches, -1)
        embedded = embedded + self.spectral_proj(amplitude)
        position = self.positional_encoding(embedded.permute(0, 3, 1, 2))
        out: Tensor = embedded + position.permute(0, 2, 3, 1)
        return out


class PeerLayer(nn.Module):
    """Pre-norm layer: attention over channels on half the width, over patches on the other; then feed-forward."""

    def __init__(self, sizes: Encoder) -> None:
        super().__init__()
        half, heads, dropout = sizes.width // 2, sizes.heads // 2, sizes.dropout
        self.self_attn_s = nn.MultiheadAttention(half, heads, dropout=dropout, batch_first=True)
        self.self_attn_t = nn.MultiheadAttention(half, heads, dropout=dropout, batch_first=True)
        self.linear1 = nn.Linear(sizes.width, sizes.feedforward)
        self.dropout = nn.Dropout(dropout)
        self.linear2 = nn.Linear(sizes.feedforward, sizes.width)
        self.norm1 = nn.LayerNorm(sizes.width)
        self.norm2 = nn.LayerNorm(sizes.width)
        self.dropout1 = nn.Dropout(dropout)
        self.dropout2 = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Transform x (B, C, P, width)."""
        x = x + self._attend(self.norm1(x))
        transformed: Tensor = x + self._feed(self.norm2(x))
        return transformed

    def _attend(self, x: Tensor) -> Tensor:
        batch, channels, patches, width = x.shape
        half = width // 2
        xs, xt = x[..., :half], x[..., half:]
        xs = xs.transpose(1, 2).contiguous().view(batch * patches, channels, half)
        xt = xt.contiguous().view(batch * channels, patches, half)
        xs = self.self_attn_s(xs, xs, xs, need_weights=False)[0]
        xs = xs.contiguous().view(batch, patches, channels, half).transpose(1, 2)
        xt = self.self_attn_t(xt, xt, xt, need_weights=False)[0]
        xt = xt.contiguous().view(batch, channels, patches, half)
        attended: Tensor = self.dropout1(torch.concat((xs, xt), dim=3))
        return attended

    def _feed(self, x: Tensor) -> Tensor:
        fed: Tensor = self.dropout2(self.linear2(self.dropout(functional.gelu(self.linear1(x)))))
        return fed


class PeerLayers(nn.Module):
    """The stack; no norm after the last layer."""

    def __init__(self, sizes: Encoder) -> None:
        super().__init__()
        self.layers = nn.ModuleList(PeerLayer(sizes) for _ in range(sizes.layers))

    def forward(self, x: Tensor) -> Tensor:
        """Pass x (B, C, P, width) through every layer."""
        for layer in self.layers:
            x = layer(x)
        return x


class PeerEncoder(nn.Module):
    """Windows (B, C, P, 200), mask (B, C, P) bool, to reconstructions of the windows' shape."""

    def __init__(self, sizes: Encoder) -> None:
        super().__init__()
        self.patch_embedding = PeerPatchEmbedding(sizes)
        self.encoder = PeerLayers(sizes)
        self.proj_out = nn.Sequential(nn.Linear(sizes.width, PATCH_SAMPLES))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Reconstruct x."""
        reconstructed: Tensor = self.proj_out(self.encoder(self.patch_embedding(x, mask)))
        return reconstructed

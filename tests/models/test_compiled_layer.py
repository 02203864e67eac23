"""One layer is compiled for all, and computes what the uncompiled one does."""

from typing import Any

import torch
from torch._dynamo.backends.common import aot_autograd
from torch._functorch._aot_autograd.utils import make_boxed_func

from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.params import Encoder


def test_one_compilation_for_all_layers() -> None:
    compilations: list[int] = []

    def counting(graph: Any, _inputs: Any) -> Any:
        compilations.append(1)
        return make_boxed_func(graph.forward)

    torch.manual_seed(0)
    encoder = CrissCrossEncoder(Encoder(layers=4, width=40, feedforward=80, heads=4, dropout=0)).train()
    x, mask = torch.randn(2, 3, 4, 200), torch.rand(2, 3, 4) < 0.5
    names = list(encoder.state_dict())
    trained = [p for p in encoder.parameters() if p.requires_grad]
    expected = encoder(x, mask)
    gradients = torch.autograd.grad(expected.square().mean(), trained)

    encoder.compile_layers(backend=aot_autograd(fw_compiler=counting))
    found = encoder(x, mask)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    for one, other in zip(torch.autograd.grad(found.square().mean(), trained), gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)
    assert len(compilations) == 2  # forward and backward, once, for four layers
    assert list(encoder.state_dict()) == names

    with torch.compiler.set_stance("force_eager"):
        encoder(x[:1], mask[:1])
    assert len(compilations) == 2

"""The benchmark's peer gives the numbers of the authors' CBraMod, as the encoder does."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden import SHAPES, case_name, formula_encoder, formula_input, formula_mask, masked_loss_and_gradients

from physiopipe.params import Encoder

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NUMBERS: dict[str, Any] = json.loads(Path(__file__).with_name("golden.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize(("layers", "shape"), SHAPES, ids=[case_name(*case) for case in SHAPES])
def test_peer_gives_the_carried_numbers(layers: int, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from peer import PeerEncoder

    peer = PeerEncoder(Encoder(layers=layers)).eval()
    peer.load_state_dict(formula_encoder(layers).state_dict(), strict=True)
    x, mask, golden = formula_input(shape), formula_mask(shape), NUMBERS["cases"][case_name(layers, shape)]
    with torch.no_grad():
        output = peer(x).numpy()
    masked, loss, norms = masked_loss_and_gradients(peer, x, mask)
    at = np.linspace(0, output.size - 1, NUMBERS["positions"]).astype(int)
    np.testing.assert_allclose(output.ravel()[at], golden["output"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(masked.numpy().ravel()[at], golden["output_masked"], rtol=0, atol=1e-4)
    assert loss == pytest.approx(golden["masked_mse"], abs=1e-5)
    assert norms == pytest.approx(golden["grad_norms"], rel=1e-3, abs=1e-7)

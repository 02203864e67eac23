"""OneFitsAll gives its authors' numbers, trains only what they train, and leaves the rest byte for byte."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from formula import formula_signal
from language_golden import carried, fill_by_hash, golden_body, gradient_norms, in_sample, sampled
from torch.nn import functional

from physiopipe.errors import PhysiopipeError
from physiopipe.models.frozen import check_frozen, frozen_digests, frozen_parameters
from physiopipe.models.gpt2 import Gpt2Sizes, random_gpt2
from physiopipe.models.gpt2_body import add_positions, run_block
from physiopipe.models.one_fits_all import OneFitsAll

pytest.importorskip("transformers", reason="transformers is not installed: pip install 'physiopipe[methods]'")

SIZES = Gpt2Sizes(layers=2, width=64, heads=4, positions=64, vocabulary=257)


def small(**options: Any) -> OneFitsAll:
    torch.manual_seed(3)
    options = {"channels": 5, "samples": 101, "patch_samples": 8, "stride_samples": 4, **options}
    return OneFitsAll(random_gpt2(SIZES).body, **options)


@cache
def ours() -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Every array of the golden file from our model, and the gradients' norms."""
    body = golden_body()
    model = OneFitsAll(body, channels=5, samples=101, patch_samples=8, stride_samples=4).eval()
    fill_by_hash(model)
    x = formula_signal((3, 101, 5)).transpose(1, 2)
    found = {"patches": model.patches(x), "embedding": model.embed(x)}
    found["gpt2_input"] = add_positions(body, found["embedding"], torch.arange(25))
    found["block0"] = run_block(body.h[0], found["gpt2_input"])
    found["block1"] = run_block(body.h[1], found["block0"])
    found["last_hidden_state"] = body.ln_f(found["block1"])
    found["ln_proj"] = model.ln_proj(functional.gelu(found["last_hidden_state"]).flatten(1))
    found["logits"] = model(x)
    found["labels"] = torch.tensor([0, 1, 1])
    found["loss"] = functional.cross_entropy(found["logits"], found["labels"])
    found["loss"].backward()
    return {name: value.detach().numpy() for name, value in found.items()}, gradient_norms(model)


def test_carried_numbers() -> None:
    golden = carried("golden_one_fits_all.json")
    arrays, norms = ours()
    assert set(arrays) == set(golden["arrays"])
    for name, expected in golden["arrays"].items():
        found = sampled(arrays[name], golden["positions"])
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5, err_msg=name)
    assert norms == pytest.approx(golden["grad_norms"]["loss"], rel=1e-5)


@pytest.mark.sample
def test_every_number() -> None:
    golden = in_sample("onefitsall/gpt4ts_3x101x5.npz")
    arrays, norms = ours()
    for name in golden.files:
        if not name.startswith("grad_"):
            np.testing.assert_allclose(arrays[name], golden[name], rtol=0, atol=2e-5, err_msg=name)
    assert norms == pytest.approx(dict(zip(golden["grad_names"], golden["grad_norms"], strict=True)), rel=1e-5)


def test_sizes_are_those_published() -> None:
    """Trained and frozen parameters of GPT-2 small cut to 6 blocks, 16 channels of 1280 samples; nothing is drawn."""
    for patch, stride, expected in ((8, 8, 1_595_906), (16, 16, 1_645_058), (32, 16, 2_231_810)):
        with torch.device("meta"):
            body = random_gpt2(Gpt2Sizes(layers=6)).body
            model = OneFitsAll(body, channels=16, samples=1280, patch_samples=patch, stride_samples=stride)
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        frozen = {name: p.numel() for name, p in frozen_parameters(model).items()}
        assert trained == expected
        assert frozen.pop("gpt2.wte.weight") == 38_597_376
        assert sum(frozen.values()) == 42_508_800


def test_training_leaves_the_frozen_bytes() -> None:
    model = small().train()
    before, x, y = frozen_digests(model), torch.randn(6, 5, 101), torch.arange(6) % 2
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-2)
    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    check_frozen(model, before)
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, start[name])}
    assert changed == {name for name, p in model.named_parameters() if p.requires_grad}
    assert losses[-1] < 0.1 * losses[0]


def test_a_changed_frozen_byte_is_found() -> None:
    model = small()
    before = frozen_digests(model)
    assert set(before) == {n for n, _ in model.named_parameters() if "gpt2" in n and not ("ln_" in n or "wpe" in n)}
    weight = model.gpt2.h[1].mlp.c_fc.weight
    with torch.no_grad():
        weight[3, 5] = torch.nextafter(weight[3, 5], torch.tensor(9.0))
    with pytest.raises(PhysiopipeError, match=r"1 parameters .*gpt2\.h\.1\.mlp\.c_fc\.weight"):
        check_frozen(model, before)
    weight.requires_grad_(True)  # one that is no longer frozen is found, too
    with pytest.raises(PhysiopipeError, match=r"gpt2\.h\.1\.mlp\.c_fc\.weight"):
        check_frozen(model, before)


def test_dropout_is_on_in_training_alone() -> None:
    model, x = small(), torch.randn(2, 5, 101)
    model.eval()
    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.allclose(model(x), model(x))


def test_a_window_does_not_see_its_batch() -> None:
    model, x = small().eval(), torch.randn(4, 5, 101)
    torch.testing.assert_close(model(x)[1:2], model(x[1:2]), rtol=0, atol=1e-5)


def test_sizes_that_do_not_fit() -> None:
    with pytest.raises(PhysiopipeError, match="patches of 200 samples"):
        small(patch_samples=200)
    with pytest.raises(PhysiopipeError, match="64 positions"):
        small(patch_samples=1, stride_samples=1).eval()(torch.randn(1, 5, 101))
    with pytest.raises(ValueError, match=r"expected windows \(batch, 5, 101\)"):
        small()(torch.randn(1, 101, 5))

"""Where a frozen GPT-2 comes from, what tables say of it, and what is refused before anything runs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from test_language_models import SMALL, make, planted, sides

from physiopipe.errors import PhysiopipeError
from physiopipe.methods.base import Method
from physiopipe.methods.gpt2_source import Gpt2Settings, Gpt2Source
from physiopipe.methods.registry import METHODS, missing_extras
from physiopipe.methods.time_llm import TimeLLMSettings
from physiopipe.models.gpt2 import Gpt2Sizes, random_gpt2

pytest.importorskip("transformers", reason="transformers is not installed: pip install 'physiopipe[methods]'")


class NeedsMore(Method):
    """A method that needs what nobody has."""

    name = "needs_more"
    extras = ("transformers", "physiopipe-test-no-such-distribution")

    fit = predict = state = restore = None  # type: ignore[assignment]


def saved(folder: Path, layers: int = 3) -> Gpt2Settings:
    """A small GPT-2 in a folder, and the settings that name it."""
    torch.manual_seed(2)
    random_gpt2(Gpt2Sizes(layers, 32, 4, 128, 300)).body.save_pretrained(folder)
    return Gpt2Settings(origin="folder", path=str(folder), layers=2)


def test_a_folder_gives_its_first_layers(tmp_path: Path) -> None:
    settings = saved(tmp_path / "mine")
    source = Gpt2Source(settings)
    body = source.loaded.body
    assert (len(body.h), body.wte.weight.shape) == (2, (300, 32))
    assert source.told() == "GPT-2 of the folder mine, pretrained on text: its first 2 layers"
    before = source.fingerprint()
    assert sorted(before) == ["config.json", "model.safetensors"]
    torch.manual_seed(3)
    random_gpt2(Gpt2Sizes(3, 32, 4, 128, 300)).body.save_pretrained(tmp_path / "mine")
    after = Gpt2Source(settings).fingerprint()
    assert after["config.json"] == before["config.json"]
    assert after["model.safetensors"] != before["model.safetensors"]


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_row_is_fitted_on_the_gpt2_of_a_folder(name: str, tmp_path: Path) -> None:
    source = saved(tmp_path / "mine").model_dump()
    train, validation, test = sides(planted())
    changes: dict[str, Any] = {"gpt2": source, "epochs": 1, "patch_samples": 64, "stride_samples": 64}
    method = make(name, tmp_path, **changes)
    if name == "time_llm":  # bytes of the prompt and 5 patches, in 128 positions: refused, and said so
        with pytest.raises(PhysiopipeError, match="128 positions"):
            method.fit(train, validation, 0)
        return
    assert np.isfinite(method.fit(train, validation, 0).predict(test)).all()
    assert "GPT-2 of the folder mine" in method.provenance


def test_what_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PhysiopipeError, match="there is no such folder"):
        _ = Gpt2Source(Gpt2Settings(origin="folder", path=str(tmp_path / "none"))).loaded
    with pytest.raises(PhysiopipeError, match="there is no such folder"):
        Gpt2Source(Gpt2Settings(origin="folder", path=str(tmp_path / "none"))).fingerprint()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some" / "gpt2").mkdir(parents=True)
    with pytest.raises(PhysiopipeError, match=r"which is a folder here, and gpt2\.origin is hub"):
        _ = Gpt2Source(Gpt2Settings(origin="hub", repository="some/gpt2")).loaded
    with pytest.raises(ValidationError, match="width 30 with 4 heads"):
        Gpt2Settings(origin="random", width=30, heads=4)
    with pytest.raises(ValidationError, match=r"d_ff 128, more than gpt2\.width 64"):
        TimeLLMSettings(gpt2=Gpt2Settings(origin="random", width=64, heads=4))


def test_random_weights_are_those_of_their_seed() -> None:
    state = torch.get_rng_state()
    settings = Gpt2Settings(origin="random", width=32, layers=1, heads=2)
    a, b = (Gpt2Source(settings).loaded.body.state_dict() for _ in range(2))
    c = Gpt2Source(settings.model_copy(update={"seed": 1})).loaded.body.state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not torch.equal(a["h.0.attn.c_attn.weight"], c["h.0.attn.c_attn.weight"])


def test_a_row_says_what_it_rests_on(tmp_path: Path) -> None:
    assert make("one_fits_all", tmp_path, patch_samples=16, stride_samples=16, epochs=20).provenance == (
        "reimplementation (GPT-2 random, not pretrained: 1 layers, width 32, 2 heads; "
        "reduced: epochs 20 of 50, batch size 16 of 64)"
    )
    assert Gpt2Source(Gpt2Settings()).told() == (
        "GPT-2 openai-community/gpt2@607a30d7, pretrained on text: its first 6 layers"
    )
    assert "cache" not in make("time_llm", tmp_path, prompt_cache_mb=1).provenance
    assert "prompt digits 3 of all" in make("time_llm", tmp_path).provenance


def test_missing_distributions_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_extras("one_fits_all") is None
    assert missing_extras("handcrafted") is None
    monkeypatch.setitem(METHODS, "needs_more", "test_gpt2_source:NeedsMore")
    found = missing_extras("needs_more")
    assert found is not None
    assert found.startswith("method 'needs_more' needs physiopipe-test-no-such-distribution, which is not installed.")
    assert "pip install 'physiopipe[methods]'" in found

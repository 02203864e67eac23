"""A GPT-2 is loaded whole from safetensors or refused; what passes through it is what transformers computes."""

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from language_golden import fill_by_hash
from safetensors.torch import load_file, save_file

from physiopipe.errors import PhysiopipeError
from physiopipe.models.gpt2 import Gpt2Sizes, byte_tokenizer, load_gpt2, random_gpt2
from physiopipe.models.gpt2_body import hidden_states

transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed: pip install 'physiopipe[methods]'"
)

SIZES = Gpt2Sizes(layers=3, width=32, heads=4, positions=40, vocabulary=300)


def save(folder: Path, kind: str = "GPT2Model", **config: Any) -> Any:
    """A small GPT-2 of transformers' own making in a folder; returns it."""
    torch.manual_seed(1)
    sizes = {"n_layer": 3, "n_embd": 32, "n_head": 4, "n_positions": 40, "vocab_size": 300, **config}
    model = getattr(transformers, kind)(transformers.GPT2Config(**sizes, bos_token_id=299, eos_token_id=299))
    fill_by_hash(model)
    model.save_pretrained(folder)
    return getattr(model, "transformer", model).eval()


def save_tokenizer(folder: Path, whole: bool) -> None:
    """Byte pairs as GPT-2 has them: tokens of its byte order, a few merges, the end of text."""
    from tokenizers.pre_tokenizers import ByteLevel

    alphabet = sorted(ByteLevel.alphabet(), key=lambda c: (ord(c) >= 256, ord(c)))
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("i", "n")]
    tokens = [*alphabet, *(a + b for a, b in merges), "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(f"{a} {b}" for a, b in merges) + "\n")
    if whole:
        transformers.GPT2TokenizerFast.from_pretrained(folder).save_pretrained(folder)
        (folder / "vocab.json").unlink(missing_ok=True)
        (folder / "merges.txt").unlink(missing_ok=True)
        assert (folder / "tokenizer.json").exists()


@pytest.mark.parametrize("kind", ["GPT2Model", "GPT2LMHeadModel"])
def test_a_folder_loads_whole(tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    saved = save(tmp_path, kind)
    capfd.readouterr()
    body, tokenizer = load_gpt2(tmp_path)
    assert not body.training
    expected = saved.state_dict()
    assert body.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in body.state_dict().items())
    assert (tokenizer.name, tokenizer.end) == ("bytes", 299)
    assert capfd.readouterr() == ("", "")


def test_first_layers(tmp_path: Path) -> None:
    saved = save(tmp_path)
    body = load_gpt2(tmp_path, layers=2).body
    assert len(body.h) == body.config.n_layer == 2
    assert torch.equal(body.h[1].mlp.c_fc.weight, saved.h[1].mlp.c_fc.weight)
    for layers in (0, 4):
        with pytest.raises(PhysiopipeError, match=f"{layers} layers of .* which has 3"):
            load_gpt2(tmp_path, layers=layers)


def test_hidden_states_are_those_of_transformers(tmp_path: Path) -> None:
    saved = save(tmp_path)
    embedded = torch.randn(5, 40, 32)
    ours, theirs = embedded.clone().requires_grad_(), embedded.clone().requires_grad_()
    found, expected = hidden_states(saved, ours), saved(inputs_embeds=theirs).last_hidden_state
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    weight = torch.randn_like(found)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)


def test_dropout_keeps_the_mean(tmp_path: Path) -> None:
    """In training mode outputs vary about those that transformers' own training mode varies about."""
    saved = save(tmp_path, n_layer=1).train()
    x = torch.randn(1, 12, 32).expand(3000, -1, -1)
    torch.manual_seed(0)
    with torch.no_grad():
        found, expected = hidden_states(saved, x), saved(inputs_embeds=x).last_hidden_state
    assert found.std(0).mean() > 0.05
    torch.testing.assert_close(found.mean(0), expected.mean(0), rtol=0, atol=0.06)
    torch.testing.assert_close(found.std(0), expected.std(0), rtol=0.1, atol=0.02)


class Mark:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickles_are_refused_unread(tmp_path: Path) -> None:
    save(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Mark(tmp_path / "ran")))
    with pytest.raises(PhysiopipeError, match=r"no \*\.safetensors \(found pytorch_model\.bin\)"):
        load_gpt2(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_incomplete_weights_are_refused(tmp_path: Path) -> None:
    save(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    save_file({n: t for n, t in tensors.items() if n != "h.1.ln_2.bias"}, path, {"format": "pt"})
    with pytest.raises(PhysiopipeError, match=r"1 parameters .*h\.1\.ln_2\.bias"):
        load_gpt2(tmp_path)
    save_file({**tensors, "wpe.weight": torch.zeros(39, 32)}, path, {"format": "pt"})
    with pytest.raises(PhysiopipeError, match=r"1 parameters .*wpe\.weight \(shape\)"):
        load_gpt2(tmp_path)
    save_file({**tensors, "wpe.weight": torch.full((40, 32), torch.nan)}, path, {"format": "pt"})
    with pytest.raises(PhysiopipeError, match=r"1 parameters .*wpe\.weight \(not finite\)"):
        load_gpt2(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(PhysiopipeError, match="cannot be loaded as GPT-2"):
        load_gpt2(tmp_path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model_type": "bert"}, "model_type 'bert', expected 'gpt2'"),
        ({"activation_function": "relu"}, "activation_function 'relu', expected 'gelu_new'"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx True"),
    ],
)
def test_other_models_are_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    save(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    with pytest.raises(PhysiopipeError, match=message):
        load_gpt2(tmp_path)
    path.write_text("[1,")
    with pytest.raises(PhysiopipeError, match=r"config\.json cannot be read"):
        load_gpt2(tmp_path)


@pytest.mark.parametrize("whole", [False, True])
def test_the_folder_s_tokenizer(tmp_path: Path, whole: bool) -> None:
    save(tmp_path)
    save_tokenizer(tmp_path, whole)
    tokenizer = load_gpt2(tmp_path).tokenizer
    assert (tokenizer.name, tokenizer.end) == ("GPT-2", 260)
    in_, the, space_the = 259, 257, 258
    assert tokenizer.encode(["the in", " the"]) == [[the, 220, in_], [space_the]]
    bytes_alone = byte_tokenizer(257).encode(["xé\n"])
    assert tokenizer.encode(["xé\n"]) == bytes_alone  # where nothing merges both number bytes alike


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    save(tmp_path, vocab_size=260)
    save_tokenizer(tmp_path, whole=False)
    with pytest.raises(PhysiopipeError, match="has 261 tokens, end-of-text 260; the model has 260"):
        load_gpt2(tmp_path)


def test_bytes_are_numbered_as_gpt2_numbers_them() -> None:
    tokenizer = byte_tokenizer(257)
    assert tokenizer.encode(["! a\n", "", "é"]) == [[0, 220, 64, 198], [], [127, 102]]
    every = tokenizer.encode(["".join(map(chr, range(0x800)))])[0]
    assert max(every) < tokenizer.end == 256
    with pytest.raises(PhysiopipeError, match="256 tokens"):
        byte_tokenizer(256)


def test_random_weights_follow_gpt2_s_law() -> None:
    torch.manual_seed(2)
    body, tokenizer = random_gpt2(Gpt2Sizes(layers=3, width=128, heads=4, positions=200, vocabulary=257))
    for name, p in body.named_parameters():
        deviation = 0.02 / 6**0.5 if "c_proj.weight" in name else 0.02
        if p.ndim == 2:
            assert p.std().item() == pytest.approx(deviation, rel=0.03), name
        else:
            assert torch.equal(p, torch.ones_like(p) if name.endswith("weight") else torch.zeros_like(p)), name
    assert (tokenizer.end, body.training) == (256, False)
    torch.manual_seed(2)
    again = random_gpt2(Gpt2Sizes(layers=3, width=128, heads=4, positions=200, vocabulary=257)).body
    assert all(torch.equal(a, b) for a, b in zip(body.parameters(), again.parameters(), strict=True))
    with pytest.raises(PhysiopipeError, match="width 30 with 4 heads"):
        random_gpt2(Gpt2Sizes(width=30, heads=4))


def test_the_hub_s_cache_and_its_absence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = "0123456789" * 4
    stored = tmp_path / "models--someone--small" / "snapshots" / commit
    stored.mkdir(parents=True)
    saved = save(stored)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    body = load_gpt2("someone/small", revision=commit).body
    assert torch.equal(body.wte.weight, saved.wte.weight)
    with pytest.raises(PhysiopipeError, match=r"someone/other is no folder here, and could not be fetched"):
        load_gpt2("someone/other")


def test_without_transformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)  # as Python marks a module that must not be imported
    for load in (lambda: load_gpt2(tmp_path), lambda: random_gpt2(SIZES)):
        with pytest.raises(PhysiopipeError, match=r"pip install 'physiopipe\[methods\]'"):
            load()

"""TF-C gives the numbers of its authors' code (float64, formula-made weights), and what its switches promise."""

from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from carried import Arrays, assert_carried, assert_every, carried, sampled
from formula import fill_by_formula, formula_signal, uniform
from torch import Tensor, nn
from torch.nn import functional

from physiopipe.errors import PhysiopipeError
from physiopipe.models.contrastive import nt_xent
from physiopipe.models.dropout import Dropout
from physiopipe.models.tfc import (
    TFC,
    AttentionOver,
    Embeddings,
    TFCClassifier,
    jitter,
    magnitude_spectrum,
    perturb_spectrum,
)
from physiopipe.models.tfc_losses import finetuning_loss, pretraining_loss

NUMBERS = carried("golden_tfc.json")
BATCH, CLASSES = 4, 2
LABELS = torch.tensor([0, 1, 1, 0])
FORMS: dict[str, AttentionOver] = {"seq": "sequence", "batch": "batch"}
SCALES = ("norm1.weight", "norm2.weight", "projector_t.1.weight", "projector_f.1.weight")


def formula_models(samples: int, over: AttentionOver) -> nn.ModuleDict:
    """The model and its classifier in float64, without dropout."""
    model, head = TFC(samples, attention_over=over), nn.ModuleDict({"classifier": TFCClassifier(CLASSES)})
    for module in (model, head):  # the classifier's names are hashed with "classifier." in front
        fill_by_formula(module, lambda name: name.endswith(SCALES))
    for part in model.modules():
        if isinstance(part, Dropout):
            part.probability = 0
    return nn.ModuleDict({"model": model, "classifier": head["classifier"]}).double()


def formula_draws(samples: int) -> Tensor:
    shape = (BATCH, samples)
    draws = [uniform(name, BATCH * samples).astype(np.float32).reshape(shape) for name in ("remove", "add", "amp")]
    return torch.from_numpy(np.stack(draws)).double()


@cache
def inputs(samples: int) -> dict[str, Tensor]:
    x = formula_signal((BATCH, samples)).double()
    i = torch.arange(BATCH * samples, dtype=torch.float64).view(BATCH, samples)
    x_aug = jitter(x, 2**0.5 * torch.sin(1.7 * i + 0.4))
    x_f = magnitude_spectrum(x)
    return {"x": x, "x_f": x_f, "x_aug": x_aug, "x_f_aug": perturb_spectrum(x_f, formula_draws(samples))}


def gradient_norms(module: nn.Module) -> np.ndarray:
    return np.array([float(p.grad.norm()) for p in module.parameters() if p.grad is not None])


def arrays(values: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: v.detach().numpy() if isinstance(v, Tensor) else np.asarray(v) for name, v in values.items()}


def named(embeddings: Embeddings, end: str = "") -> dict[str, Tensor]:
    return {name + end: value for name, value in zip(("h_t", "z_t", "h_f", "z_f"), embeddings, strict=True)}


def losses(clean: Embeddings, augmented: Embeddings, form: str) -> Tensor:
    """[L_t, L_f, L_TF, l1, l2, l3, L_C, total], the authors' order."""
    ours = pretraining_loss(clean, augmented, form=form)
    triplet = pretraining_loss(clean, augmented, form=form, consistency="triplet").consistency
    others = [
        nt_xent(one.z_time, other.z_frequency, form=form)
        for one, other in ((clean, augmented), (augmented, clean), (augmented, augmented))
    ]
    return torch.stack((*ours[:3], *others, triplet, ours.total))


def form_numbers(samples: int, over: AttentionOver) -> dict[str, Any]:
    """What the authors' numbers hold for one form of the encoder."""
    x, x_f, x_aug, x_f_aug = inputs(samples).values()
    models = formula_models(samples, over)
    model, classifier = models["model"].eval(), models["classifier"]
    clean = model(x, x_f)
    found: dict[str, Any] = {f"eval_{name}": value for name, value in named(clean).items()}
    found["eval_logits"] = classifier(clean)

    clean, augmented = model.train()(x, x_f), model(x_aug, x_f_aug)
    found |= {f"train_{name}": value for name, value in named(clean).items() if name[0] == "z"}
    found |= {f"train_{name}": value for name, value in named(augmented, "_aug").items()}
    for domain in "tf":
        norm = model.get_submodule(f"projector_{domain}.1")
        found[f"train_running_mean_{domain}"], found[f"train_running_var_{domain}"] = (
            norm.running_mean,
            norm.running_var,
        )
    found |= {f"losses_{form}": losses(clean, augmented, form) for form in ("poly", "plain")}
    pretraining_loss(clean, augmented).total.backward()
    found["pretrain_grad_norms"] = gradient_norms(model)

    models = formula_models(samples, over)
    first, second = models["model"](x, x_f), models["model"](x, x_f)
    logits = models["classifier"](first)
    ours = finetuning_loss(logits, LABELS, first, second)
    found["finetune_losses"] = torch.stack((functional.cross_entropy(logits, LABELS), *ours))
    found["finetune_logits"] = logits
    ours.total.backward()
    found["finetune_grad_norms"] = gradient_norms(models)
    return found


@cache
def model_arrays(samples: int) -> Arrays:
    found: dict[str, Any] = dict(inputs(samples))
    for form, over in FORMS.items():
        found |= {f"{form}_{name}": value for name, value in form_numbers(samples, over).items()}
    return arrays(found)


def formula_rows(name: str, shape: tuple[int, ...]) -> Tensor:
    v = 2 * uniform(name, int(np.prod(shape))).reshape(shape) - 1
    return torch.from_numpy(v.astype(np.float32)).double().requires_grad_()


@cache
def loss_arrays() -> Arrays:
    found: dict[str, Any] = {}
    for shape in ((4, 128), (6, 178)):
        count = shape[0]
        for form, similarity in product(("poly", "plain"), ("cosine", "dot")):
            p, q = formula_rows(f"emb_zi{count}", shape), formula_rows(f"emb_zj{count}", shape)
            name = f"N{count}_{form}_{similarity[:3]}"
            found[name] = nt_xent(p, q, form=form, similarity=similarity)
            if similarity == "cosine":
                found[f"{name}_grad_i"], found[f"{name}_grad_j"] = torch.autograd.grad(found[name], (p, q))
        found |= {f"N{count}_poly_cos_t{t}": nt_xent(p, q, temperature=t) for t in (0.1, 0.5)}
    return arrays(found)


def case_arrays(case: str) -> Arrays:
    return loss_arrays() if case == "ntxent" else model_arrays(int(case.removeprefix("tfc_B4_T")))


CASES = pytest.mark.parametrize("case", ["tfc_B4_T178", "tfc_B4_T256", "ntxent"])


@CASES
def test_carried_numbers(case: str) -> None:
    assert_carried(case_arrays(case), NUMBERS["cases"][case], NUMBERS["positions"], tolerance=1e-6)


@pytest.mark.sample
@CASES
def test_every_number(case: str) -> None:
    ours = case_arrays(case)
    golden = dict(sampled(f"tfc/{case}.npz"))
    if case != "ntxent":
        shape = (BATCH, 1, ours["x"].shape[-1])
        ours = {name: a.reshape(shape) if name.startswith("x") else a for name, a in ours.items()}
    assert_every(ours, golden, tolerance=2e-7)
    if case != "ntxent":
        models = formula_models(178, "sequence")
        assert [name for name, _ in models["model"].named_parameters()] == golden["grad_names"].tolist()
        names = [name.removeprefix("model.") for name, _ in models.named_parameters()]
        assert names == golden["finetune_grad_names"].tolist()


def test_float32_gives_them_too() -> None:
    models = formula_models(178, "sequence").float()
    x, x_f, x_aug, x_f_aug = (value.float() for value in inputs(178).values())
    total = pretraining_loss(models["model"](x, x_f), models["model"](x_aug, x_f_aug)).total
    assert float(total.detach()) == pytest.approx(NUMBERS["cases"]["tfc_B4_T178"]["seq_losses_poly"][-1], rel=1e-5)


def test_parameters_number_as_published() -> None:
    assert [sum(p.numel() for p in TFC(t).parameters()) for t in (178, 256)] == [1_180_184, 2_306_816]
    assert sum(p.numel() for p in TFCClassifier().parameters()) == 16_578


def test_layers_start_alike() -> None:
    first, second = TFC(16).transformer_encoder_t.layers
    pairs = list(zip(first.parameters(), second.parameters(), strict=True))
    assert all(torch.equal(a, b) and a is not b for a, b in pairs)


@pytest.mark.parametrize("form", FORMS)
def test_batch_mates_matter_in_the_authors_form_alone(form: str) -> None:
    model = formula_models(178, FORMS[form])["model"].eval()
    x, x_f = inputs(178)["x"], inputs(178)["x_f"]
    with torch.no_grad():
        together, alone = model(x, x_f), model(x[:1], x_f[:1])
    change = max(float((a[:1] - b).abs().max()) for a, b in zip(together, alone, strict=True))
    assert change < 1e-12 if form == "seq" else change > 1e-2


def test_forms_agree_on_a_batch_of_one() -> None:
    x, x_f = inputs(178)["x"][2:3], inputs(178)["x_f"][2:3]
    one, other = (formula_models(178, over)["model"].eval()(x, x_f) for over in FORMS.values())
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_layer_is_pytorchs() -> None:
    """Of one sequence of B tokens in the authors' form, of B sequences of one token in the other."""
    peer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0).eval()
    x = torch.randn(5, 16)
    for over in FORMS.values():
        layer = TFC(16, attention_over=over).transformer_encoder_t.layers[0].eval()
        layer.load_state_dict(peer.state_dict(), strict=True)
        with torch.no_grad():
            expected = peer(x.unsqueeze(0 if over == "sequence" else 1)).view(5, 16)
            torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-6)


def test_dropout_drops_whole_heads_of_a_lone_token() -> None:
    torch.manual_seed(0)
    attention = TFC(8, dropout=0.5).transformer_encoder_t.layers[0].self_attn.train()
    nn.init.eye_(attention.out_proj.weight)
    x = torch.randn(400, 8)
    with torch.no_grad():
        full, dropped = attention.eval()(x).view(400, 2, 4), attention.train()(x).view(400, 2, 4)
    kept = (dropped != 0).any(-1, keepdim=True)
    torch.testing.assert_close(dropped, torch.where(kept, 2 * full, 0.0))
    assert float(kept.float().mean()) == pytest.approx(0.5, abs=0.06)  # 800 draws: 3.4 standard deviations


def test_nt_xent_by_hand() -> None:
    """Two samples whose views agree, at right angles: a row's positive has cosine 1, both negatives 0."""
    rows = torch.tensor([[3.0, 0.0], [0.0, 0.5]])
    likelihood = np.exp(1 / 0.5) / (np.exp(1 / 0.5) + 2)
    assert float(nt_xent(rows, 7 * rows, 0.5, "plain")) == pytest.approx(-np.log(likelihood), rel=1e-6)
    poly = -np.log(likelihood) + 2 * (1 / 2 - 4 * likelihood / (4 * 3))  # a 4 x 3 table holds 4 likelihoods
    assert float(nt_xent(rows, 7 * rows, 0.5)) == pytest.approx(poly, rel=1e-6)


def test_nt_xent_bears_rows_of_zeros() -> None:
    rows = torch.zeros(3, 5, requires_grad=True)
    loss = nt_xent(rows, torch.zeros(3, 5), form="plain")
    loss.backward()
    assert float(loss.detach()) == pytest.approx(np.log(5))
    assert rows.grad is not None
    assert bool(rows.grad.isfinite().all())


def test_contrast_on_projections() -> None:
    clean = Embeddings(*(torch.randn(3, width) for width in (16, 8, 16, 8)))
    augmented = Embeddings(*(torch.randn(3, width) for width in (16, 8, 16, 8)))
    ours = pretraining_loss(
        clean, augmented, contrast_on="projection", consistency="triplet", contrast_weight=0.5, consistency_weight=0.3
    )
    assert float(ours.time) == pytest.approx(float(nt_xent(clean.z_time, augmented.z_time)))
    assert float(ours.frequency) == pytest.approx(float(nt_xent(clean.z_frequency, augmented.z_frequency)))
    assert float(ours.total) == pytest.approx(float(0.5 * (ours.time + ours.frequency) + 0.3 * ours.consistency))


def test_spectrum_augmentation_by_hand() -> None:
    spectrum = torch.tensor([4.0, 2.0, 10.0, 2.0])
    draws = torch.tensor([[0.05, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.95], [0.9, 0.9, 0.9, 0.5]])
    assert perturb_spectrum(spectrum, draws, doubled=False).tolist() == pytest.approx([0, 2, 10, 2.5])
    assert perturb_spectrum(spectrum, draws).tolist() == pytest.approx([4, 4, 20, 4.5])
    assert perturb_spectrum(spectrum, draws, highest=100.0).tolist() == pytest.approx([4, 4, 20, 9])


def test_sizes_that_do_not_fit() -> None:
    with pytest.raises(PhysiopipeError, match="even"):
        TFC(179)
    with pytest.raises(ValueError, match="expected series"):
        TFC(16)(torch.zeros(2, 1, 16), torch.zeros(2, 16))

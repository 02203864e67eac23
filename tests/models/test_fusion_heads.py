import math

import pytest
import torch

from physiopipe.errors import PhysiopipeError
from physiopipe.models.fusion import LabelHeads, Scaled, pooled
from physiopipe.models.fusion_heads import CrossAttentionHeads, GatedHeads, MixtureHeads, budget

WIDTHS = (40, 40)
CLASSES = (GatedHeads, CrossAttentionHeads, MixtureHeads)


def heads(cls: type[Scaled], widths: tuple[int, int] = WIDTHS, hidden: int = 64) -> Scaled:
    torch.manual_seed(0)
    return cls(widths, hidden, 0.2).eval()


def embeddings(cls: type[Scaled], batch: int = 6, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, 5, 80) if cls is CrossAttentionHeads else (batch, 80)
    return torch.randn(shape, generator=generator)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("width", [200, 40])
def test_every_fusion_has_the_budget_of_concatenation(cls: type[Scaled], width: int) -> None:
    widths = (width, width)
    allowed = sum(weight.numel() for weight in LabelHeads(widths, 200, 0.2).parameters())
    assert budget(widths, 200, 3) == allowed
    used = sum(weight.numel() for weight in cls(widths, 200, 0.2).parameters())
    assert 0.95 * allowed <= used <= allowed


@pytest.mark.parametrize("cls", [LabelHeads, *CLASSES])
def test_both_modalities_reach_every_logit_and_scale_is_the_training_sets(cls: type[Scaled]) -> None:
    model, x = heads(cls), embeddings(cls).requires_grad_()
    logits = model(x)
    assert logits.shape == (6, 3)
    for label in range(3):
        (gradient,) = torch.autograd.grad(logits[:, label].sum(), x, retain_graph=True)
        assert gradient[..., :40].abs().sum() > 0
        assert gradient[..., 40:].abs().sum() > 0
    plain = model(x.detach())
    model.scale_by(embeddings(cls, 50, 1) * 7 + 3)
    torch.testing.assert_close(model(x.detach() * 7 + 3), plain, rtol=0.5, atol=0.5)
    wide = embeddings(cls, 4000, 2)
    model.scale_by(wide * 7 + 3)
    torch.testing.assert_close(model(x.detach() * 7 + 3), plain, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("cls", [LabelHeads, *CLASSES])
@pytest.mark.parametrize("lost", [0, 1, 2])
def test_an_absent_modality_says_nothing_whatever_the_scale(cls: type[Scaled], lost: int) -> None:
    model, x = heads(cls), embeddings(cls)
    model.scale_by(embeddings(cls, 50, 1) * 2 + 100)  # what is absent would come out at -50 standard deviations
    x = x * 2 + 100
    if lost in (0, 2):
        x[..., :40] = 0
    if lost in (1, 2):
        x[..., 40:] = 0
    with torch.inference_mode():
        found = model(x)
        assert found.isfinite().all()
        assert found.abs().max() < 20
        if lost < 2:
            assert found.std(dim=0).min() > 0, "the modality that is left still tells windows apart"
        else:
            torch.testing.assert_close(found, found[:1].expand_as(found))


def test_patches_without_signal_are_neither_attended_to_nor_averaged() -> None:
    model, x = heads(CrossAttentionHeads), embeddings(CrossAttentionHeads)
    x[:, 3:, 40:] = 0
    x[:, 4:, :40] = 0
    shorter = x[:, :4].clone()
    with torch.inference_mode():
        torch.testing.assert_close(model(x), model(shorter))
        swapped = x[:, [1, 0, 2, 3, 4]]
        torch.testing.assert_close(model(swapped), model(x))  # no order of its own: that is in the embeddings
        x[:, 0, :40] += 1
        assert not torch.allclose(model(x), model(swapped))


def test_attention_lets_patches_that_belong_together_find_each_other() -> None:
    """Whether the two modalities' patches occur together can be learnt from sequences, never from averages."""
    generator = torch.Generator().manual_seed(3)

    def draw(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        order = torch.stack([torch.randperm(4, generator=generator) for _ in range(count)])
        sign = torch.randint(0, 2, (count, 4), generator=generator) * 2.0 - 1
        together = torch.randint(0, 2, (count,), generator=generator)
        x = 0.1 * torch.randn(count, 4, 80, generator=generator)
        x[:, :, :4] += 2 * torch.eye(4)[order]
        x[:, :, 40:44] += 2 * torch.eye(4)[order]
        x[:, :, 20] += sign
        x[:, :, 60] += sign * torch.where(together == 1, 1.0, -1.0)[:, None]
        return x, together.float()

    model = heads(CrossAttentionHeads)
    x, truth = draw(1500)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(150):
        rows = torch.randint(0, len(x), (128,), generator=generator)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(x[rows])[:, 0], truth[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    test, expected = draw(400)
    with torch.inference_mode():
        right = ((model.eval()(test)[:, 0] > 0) == (expected == 1)).float().mean()
    assert right > 0.85
    with pytest.raises(PhysiopipeError, match="no multiple of 4 heads"):
        CrossAttentionHeads((44, 44), 8, 0.0)


def test_gate_leaves_everything_to_the_modality_that_is_there() -> None:
    model, x = heads(GatedHeads), embeddings(GatedHeads)
    x[:, 40:] = 0
    with torch.inference_mode():
        alone = torch.tanh(model.values[0](x[:, :40]))
        expected = torch.cat([head(alone) for head in model.heads], dim=1)
        torch.testing.assert_close(model(x), expected)


def test_mixture_learns_its_tokens_from_dropped_modalities_only_while_training() -> None:
    torch.manual_seed(0)
    model = MixtureHeads(WIDTHS, 64, 0.0, 3, modality_dropout=0.5)
    x = embeddings(MixtureHeads, 64)
    assert torch.equal(model.eval()(x), model(x))
    model.train()
    model(x).sum().backward()
    assert all(token.grad is not None and token.grad.abs().sum() > 0 for token in model.absent)
    never = MixtureHeads(WIDTHS, 64, 0.0, 3, modality_dropout=0.0).train()
    never(x).sum().backward()
    assert all(token.grad is None or token.grad.abs().sum() == 0 for token in never.absent)


def test_a_share_of_windows_loses_one_modality_and_none_loses_both() -> None:
    model = MixtureHeads(WIDTHS, 64, 0.0, 3, modality_dropout=0.4).train()
    with torch.no_grad():
        model.absent[0].fill_(1e3)
        model.absent[1].fill_(1e3)
    seen: list[torch.Tensor] = []
    model.gate.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    torch.manual_seed(1)
    model(embeddings(MixtureHeads, 4000))
    lost = (seen[0].view(-1, 2, 40) == 1e3).all(-1)
    assert not lost.all(1).any()
    for modality in range(2):
        assert lost[:, modality].float().mean() == pytest.approx(0.2, abs=4 * math.sqrt(0.16 / 4000))


def test_pooling_patches_is_their_mean_where_there_is_signal() -> None:
    patches = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(0))
    patches[0, 2:] = 0
    patches[2] = 0
    found = pooled(patches, "channels_and_patches")
    torch.testing.assert_close(found[0], patches[0, :2].mean(0))
    torch.testing.assert_close(found[1], patches[1].mean(0))
    assert (found[2] == 0).all()
    assert pooled(patches, "channels").shape == (3, 24)

"""Networks of patches: their sizes, what of them can be scaled, and which pixels a patch has."""

from __future__ import annotations

import pytest
import torch

from unyoke.study.tasks.patch_nets import ColourPatches, GreyPatches


def test_the_network_for_colour_images() -> None:
    torch.manual_seed(0)
    model = ColourPatches(10)
    assert sum(weight.numel() for weight in model.parameters()) == 44_234
    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv2d):
            assert layer.stride == layer.kernel_size
            assert layer.padding == (0, 0)
    images = torch.randn(5, 3, 32, 32)
    assert model(images).shape == (5, 10)
    before = model(images).detach()
    with torch.no_grad():
        next(model.parameters()).mul_(3.0)  # BatchNorm follows
    torch.testing.assert_close(model(images).detach(), before, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("normalised", [True, False])
def test_the_size_of_a_weight_matters_without_normalisation_only(normalised: bool) -> None:
    torch.manual_seed(0)
    model = GreyPatches(10, normalised=normalised)
    images = torch.randn(7, 14, 14)
    before = model(images).detach()
    assert before.shape == (7, 10)
    for weight in model.parameters():
        with torch.no_grad():
            weight.mul_(2.0)
    same = torch.allclose(model(images).detach(), before, rtol=1e-3, atol=1e-3)
    assert same == normalised


def test_a_patch_is_a_square_of_the_image() -> None:
    """A pixel reaches one of the four patches, and no other."""
    model = GreyPatches(10, normalised=False)
    seen: list[torch.Tensor] = []
    model.patches.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    image = torch.zeros(1, 14, 14)
    image[0, 3, 8] = 1.0  # above and to the right
    model(image)
    assert seen[0][0].sum(dim=-1).tolist() == [0.0, 1.0, 0.0, 0.0]
    assert seen[0][0, 1].reshape(7, 7).nonzero().tolist() == [[3, 1]]

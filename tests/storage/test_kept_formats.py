"""Training with state and weights in every format: its path, its checkpoints, its memory."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch

import unyoke
from unyoke.storage import encodings, formats

FORMATS = [torch.float32, torch.bfloat16, "int8"]


NARROW = (torch.bfloat16, torch.int8, torch.uint8)


def make(
    state_dtype: Any = torch.float32,
    rounding: Any = "nearest",
    *,
    dtype: torch.dtype = torch.float32,
    shape: tuple[int, ...] = (72, 64),
    **options: Any,
) -> tuple[torch.nn.Parameter, unyoke.Optimizer]:
    torch.manual_seed(0)
    p = torch.nn.Parameter(torch.randn(shape).to(dtype))
    options = {"lr": 1e-2, "backend": "eager", **options}
    return p, unyoke.Optimizer([p], state_dtype=state_dtype, rounding=rounding, **options)


def follow(
    p: torch.nn.Parameter,
    optimizer: unyoke.Optimizer,
    updates: range,
    gradient: Callable[[int], torch.Tensor] | None = None,
) -> None:
    for t in updates:
        generator = torch.Generator().manual_seed(t)
        noise = torch.randn(p.shape, generator=generator)
        p.grad = (noise if gradient is None else gradient(t)).to(p.dtype)
        optimizer.step()


def values(p: torch.Tensor, optimizer: unyoke.Optimizer, name: str) -> torch.Tensor:
    rule, state = optimizer.groups.rule(optimizer.param_groups[0]), optimizer.state[p]
    return formats.read(state, name, formats.format_of(rule, state, name))


class TestState:
    @pytest.mark.parametrize(("state_dtype", "limit"), [*zip(FORMATS, (8, 4, 2.1), strict=True)])
    def test_takes_so_many_bytes_per_weight(self, state_dtype: Any, limit: float) -> None:
        p, optimizer = make(state_dtype, shape=(256, 257))
        optimizer.init_state()
        tensors = [x for name, x in optimizer.state[p].items() if name != "step"]
        taken = sum(x.numel() * x.element_size() for x in tensors) / p.numel()
        assert limit - 0.1 < taken <= limit
        assert all(x.shape == p.shape for x in tensors if x.dim() > 1)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
    def test_is_float32_unless_asked(self, dtype: torch.dtype) -> None:
        p, optimizer = make(dtype=dtype)
        optimizer.init_state()
        assert optimizer.state[p]["exp_avg_sq"].dtype == torch.float32

    @pytest.mark.parametrize("state_dtype", FORMATS)
    def test_of_small_tensors_is_float32(self, state_dtype: Any) -> None:
        for n, plain in ((4095, True), (4096, state_dtype == torch.float32)):
            p, optimizer = make(state_dtype, shape=(n,))
            optimizer.init_state()
            assert (optimizer.state[p]["exp_avg_sq"].dtype == torch.float32) == plain

    @pytest.mark.parametrize("state_dtype", FORMATS[1:])
    def test_second_moment_does_not_stand_still(self, state_dtype: Any) -> None:
        """At β2 = 0.999 an update is under half an ulp: to nearest, v would stay at 0.001·g²."""
        p, optimizer = make(state_dtype)
        follow(p, optimizer, range(300), lambda t: torch.full((72, 64), 0.3))
        v = values(p, optimizer, "exp_avg_sq")
        assert v.mean().item() == pytest.approx(0.09 * (1 - 0.999**300), rel=0.01)
        assert v.std() < 0.2 * v.mean()

    @pytest.mark.parametrize("state_dtype", FORMATS[1:])
    def test_zero_gradients_do_not_explode(self, state_dtype: Any) -> None:
        """Trap 3: a first moment that outlives its second makes huge steps."""
        p, optimizer = make(state_dtype, weight_decay=0.0)
        scale = 10.0 ** (-8 * torch.rand(72, 64))  # eight decades within every block
        follow(p, optimizer, range(20), lambda t: scale * torch.randn(72, 64))
        before = p.detach().clone()
        for _ in range(150):
            p_before = p.detach().clone()
            p.grad = torch.zeros_like(p)
            optimizer.step()
            assert (p.detach() - p_before).abs().max() <= 3 * 1e-2
        assert (p.detach() - before).abs().max() < 0.5
        assert (values(p, optimizer, "exp_avg_sq") > 0).all()

    @pytest.mark.parametrize("state_dtype", FORMATS[1:])
    def test_zeros_are_exact(self, state_dtype: Any) -> None:
        """Weights that never had a gradient, between others that had."""
        p, optimizer = make(state_dtype, weight_decay=0.0)
        before = p.detach().clone()
        mask = (torch.arange(p.numel()).view(p.shape) % 3 == 0).float()
        follow(p, optimizer, range(50), lambda t: mask * torch.randn(72, 64))
        assert torch.equal(p.detach()[mask == 0], before[mask == 0])
        assert (p.detach()[mask == 1] != before[mask == 1]).all()

    def test_nan_spoils_its_block_only(self) -> None:
        p, optimizer = make("int8", shape=(64, 128))
        bad = torch.ones(64, 128)
        bad[5, 7] = torch.nan
        follow(p, optimizer, range(2), lambda t: bad)
        assert p.isnan()[5].all()
        assert p.isnan().sum() == 128

    @pytest.mark.parametrize("state_dtype", FORMATS[1:])
    @pytest.mark.parametrize("layout", ["transposed", "channels_last", "every_other"])
    def test_any_strides(self, state_dtype: Any, layout: str) -> None:
        torch.manual_seed(0)
        data = {
            "transposed": torch.randn(80, 64).t(),
            "channels_last": torch.randn(8, 16, 8, 8).to(memory_format=torch.channels_last),
            "every_other": torch.randn(80, 64, 2)[..., 0],
        }[layout]
        narrow, wide = torch.nn.Parameter(data), torch.nn.Parameter(data.clone())
        one = unyoke.AdamW([narrow], lr=1e-2, state_dtype=state_dtype, backend="eager")
        two = unyoke.AdamW([wide], lr=1e-2, backend="eager")
        spread = 10.0 ** torch.linspace(-1, 1, narrow.numel()).view(narrow.shape)
        for t in range(20):
            grad = spread * torch.randn(narrow.shape, generator=torch.Generator().manual_seed(t))
            narrow.grad, wide.grad = grad, grad
            one.step(), two.step()
        exact = two.state[wide]["exp_avg_sq"]
        error = (values(narrow, one, "exp_avg_sq") - exact).abs() / exact
        assert error.median() < 0.15
        assert error.max() < 1

    @pytest.mark.parametrize("maximize", [False, True])
    @pytest.mark.parametrize(
        ("state_dtype", "of_step", "of_path"), [(torch.bfloat16, 0.02, 0.02), ("int8", 0.1, 0.12)]
    )
    def test_error_against_float32_is_bounded(
        self, state_dtype: Any, of_step: float, of_path: float, maximize: bool
    ) -> None:
        """The bounds of docs/storage.md, over fewer updates; and half of them would not hold."""
        step, path = unyoke_error(state_dtype, 300, maximize=maximize)
        assert of_step / 4 < step < of_step
        assert path < of_path

    @pytest.mark.parametrize("state_dtype", FORMATS)
    @pytest.mark.parametrize("rounding", formats.ROUNDINGS)
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_nothing_moves_at_lr_0(self, state_dtype: Any, rounding: Any, dtype: Any) -> None:
        p, optimizer = make(state_dtype, rounding, dtype=dtype)
        follow(p, optimizer, range(3))
        optimizer.param_groups[0]["lr"] = 0.0
        before = p.detach().clone()
        follow(p, optimizer, range(3, 6))
        assert torch.equal(p.detach(), before)


def unyoke_error(state_dtype: Any, updates: int, maximize: bool = False) -> tuple[float, float]:
    """Relative error of the step, and of the path, under gradients of many magnitudes."""
    p, optimizer = make(state_dtype, maximize=maximize)
    q, exact = make(maximize=maximize)
    spread = torch.exp(torch.randn(72, 1) + torch.randn(1, 64))
    squares = torch.zeros(2)
    start = q.detach().clone()
    for t in range(updates):
        grad = spread * torch.randn(72, 64, generator=torch.Generator().manual_seed(t))
        before = p.detach().clone(), q.detach().clone()
        p.grad, q.grad = grad, grad
        optimizer.step(), exact.step()
        step = q.detach() - before[1]
        squares += torch.stack(
            [(p.detach() - before[0] - step).square().sum(), step.square().sum()]
        )
    path = (p - q).norm() / (q - start).norm()
    return (squares[0] / squares[1]).sqrt().item(), path.item()


@pytest.mark.parametrize("state_dtype", FORMATS[1:])
@pytest.mark.parametrize("direction", [d for d in unyoke.directions.ALL.values() if d.moments])
def test_every_direction_runs_in_every_format(direction: Any, state_dtype: Any) -> None:
    """Tensor-scope directions included; the path is that of float32 to a tenth."""
    decay = "none" if direction.no_decay else "decoupled"
    p, optimizer = make(state_dtype, direction=direction, decay=decay)
    q, exact = make(direction=direction, decay=decay)
    start = p.detach().clone()
    follow(p, optimizer, range(30)), follow(q, exact, range(30))
    moved = (q - start).norm()
    assert 0 < (p - q).norm() / moved < 0.25
    moments = [optimizer.state[p][name] for name in direction.moments]
    kept = [x for x in moments if x.numel() >= encodings.SMALL]
    assert kept
    assert all(x.dtype in NARROW for x in kept)


class TestCheckpoint:
    @pytest.mark.parametrize("state_dtype", FORMATS)
    @pytest.mark.parametrize("rounding", formats.ROUNDINGS)
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_same_format_continues_bit_for_bit(
        self, state_dtype: Any, rounding: Any, dtype: Any
    ) -> None:
        p, optimizer = make(state_dtype, rounding, dtype=dtype)
        follow(p, optimizer, range(5))
        file = io.BytesIO()
        torch.save((optimizer.state_dict(), p.data), file)
        follow(p, optimizer, range(5, 10))
        file.seek(0)
        saved, data = torch.load(file, weights_only=True)
        torch.manual_seed(123)  # another process, another seed
        q = torch.nn.Parameter(data)
        resumed = unyoke.Optimizer(
            [q], lr=9.0, state_dtype=state_dtype, rounding=rounding, backend="eager"
        )
        resumed.load_state_dict(saved)
        follow(q, resumed, range(5, 10))
        assert torch.equal(p, q)
        for name, value in optimizer.state[p].items():
            assert torch.equal(value, resumed.state[q][name])

    @pytest.mark.parametrize("saved", FORMATS)
    @pytest.mark.parametrize("own", FORMATS)
    def test_another_format_is_converted(self, saved: Any, own: Any) -> None:
        p, optimizer = make(saved, "kahan")
        follow(p, optimizer, range(30))
        q, resumed = make(own)
        resumed.load_state_dict(optimizer.state_dict())
        assert resumed.param_groups[0]["state_dtype"] == str(own).removeprefix("torch.")
        dtypes = {name: x.dtype for name, x in resumed.state[q].items()}
        fresh, optimizer_of_fresh = make(own)
        optimizer_of_fresh.init_state()
        assert dtypes == {name: x.dtype for name, x in optimizer_of_fresh.state[fresh].items()}
        assert "compensation" not in resumed.state[q]
        for name in ("exp_avg", "exp_avg_sq"):
            before, after = values(p, optimizer, name), values(q, resumed, name)
            blocks = before.abs().view(-1, encodings.BLOCK)
            error = (before - after).abs().view(-1, encodings.BLOCK)
            assert (error <= blocks / 15 + blocks.amax(1, keepdim=True) * 2e-4).all()
        follow(q, resumed, range(3))

    def test_codes_in_another_layout_are_laid_out_anew(self) -> None:
        data = torch.randn(8, 16, 8, 8)
        p = torch.nn.Parameter(data.to(memory_format=torch.channels_last))
        q = torch.nn.Parameter(data.clone())
        one = unyoke.AdamW([p], state_dtype="int8", backend="eager")
        scale = 10.0 ** (2 * torch.rand(data.shape) - 1)
        follow(p, one, range(5), lambda t: scale)
        two = unyoke.AdamW([q], state_dtype="int8", backend="eager")
        two.load_state_dict(one.state_dict())
        before, after = values(p, one, "exp_avg_sq"), values(q, two, "exp_avg_sq")
        assert ((before - after).abs() / before).max() < 0.07

    def test_codes_without_scales_are_refused(self) -> None:
        _, optimizer = make("int8")
        optimizer.init_state()
        saved = optimizer.state_dict()
        del saved["state"][0]["exp_avg_scale"]
        with pytest.raises(ValueError, match=r"exp_avg_scale.*missing.*36 float32"):
            make("int8")[1].load_state_dict(saved)

    @pytest.mark.parametrize("state_dtype", FORMATS[1:])
    def test_torch_s_state_is_narrowed_and_back(self, state_dtype: Any) -> None:
        p = torch.nn.Parameter(torch.randn(72, 64))
        theirs = torch.optim.AdamW([p])
        p.grad = torch.randn(72, 64)
        theirs.step()
        q, ours = make(state_dtype)
        ours.load_state_dict(theirs.state_dict())
        assert ours.state[q]["exp_avg"].dtype in NARROW
        back = unyoke.to_torch(ours)
        for name in ("exp_avg", "exp_avg_sq"):
            exact = theirs.state[p][name]
            torch.testing.assert_close(
                back.state[q][name], exact, rtol=0.07, atol=1e-4 * exact.abs().max().item()
            )


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "dtype", "words"),
        [
            ({"state_dtype": "int4"}, torch.float32, "int4.*8-bit blocks"),
            ({"state_dtype": torch.int8}, torch.float32, "torch.int8"),
            ({"state_dtype": torch.float16}, torch.float32, "float16"),
            ({"rounding": "up"}, torch.float32, "unknown rounding 'up'.*kahan"),
            ({"rounding": "stochastic"}, torch.float64, "float64: use 'kahan'"),
            ({"rounding": "kahan"}, torch.complex64, "real weights"),
            ({"state_dtype": "int8"}, torch.complex64, "real weights"),
            ({"state_dtype": "int8", "differentiable": True}, torch.float32, "autograd"),
            ({"rounding": "kahan", "differentiable": True}, torch.float32, "autograd"),
        ],
    )
    def test_name_what_failed(self, options: Any, dtype: torch.dtype, words: str) -> None:
        p = torch.nn.Parameter(torch.ones(3, dtype=dtype))
        with pytest.raises(ValueError, match=words):
            unyoke.AdamW([p], **options)

    def test_groups_have_formats_of_their_own(self) -> None:
        p, q = (torch.nn.Parameter(torch.randn(5000)) for _ in range(2))
        groups = [{"params": [p]}, {"params": [q], "state_dtype": "int8", "rounding": "kahan"}]
        optimizer = unyoke.AdamW(groups, state_dtype=torch.bfloat16)
        optimizer.init_state()
        assert optimizer.state[p]["exp_avg"].dtype == torch.bfloat16
        assert optimizer.state[q]["exp_avg"].dtype == torch.int8
        assert optimizer.state[q]["exp_avg_sq"].dtype == torch.uint8
        assert "compensation" in optimizer.state[q]

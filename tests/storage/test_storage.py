"""Formats of state and rounding of weights, as the eager backend defines them."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import unyoke
from unyoke import primitives
from unyoke.storage import encodings, formats, random_words
from unyoke.storage.rounding import rounding_of

N = 1 << 16
OCTAVES = {"signed": 16, "unsigned": 22}


def signed(value: Any, inverse: Any, random: torch.Tensor) -> torch.Tensor:
    """The code as it is read again from memory."""
    return encodings.encode_signed(value, inverse, random).to(torch.int8).to(torch.int32)


CODES: dict[str, tuple[Callable[..., torch.Tensor], Callable[..., torch.Tensor], int]] = {
    "signed": (signed, encodings.decode_signed, 127),
    "unsigned": (encodings.encode_unsigned, encodings.decode_unsigned, 255),
}
FORMATS = [torch.float32, torch.bfloat16, "int8"]
NARROW = (torch.bfloat16, torch.int8, torch.uint8)
HALF = torch.tensor(1 << 19, dtype=torch.int32)


def words(seed: int = 1, n: int = N) -> torch.Tensor:
    return random_words.noise(seed, torch.arange(n, dtype=torch.int32))


def subtract_stochastic(
    dtype: torch.dtype, weight: torch.Tensor, delta: torch.Tensor, uniform: torch.Tensor
) -> torch.Tensor:
    rounding: Any = rounding_of("stochastic", dtype)
    (new,) = rounding.subtract(weight, delta, uniform)
    return new


def assert_unbiased(drawn: torch.Tensor, low: float, high: float, expected: float) -> None:
    """Draws from two neighbours: the mean is ``expected`` and the variance that of a coin."""
    values = set(drawn.tolist())
    assert values <= {low, high}
    up = (expected - low) / (high - low)
    deviation = (up * (1 - up)) ** 0.5 * abs(high - low)
    mean, std = drawn.double().mean().item(), drawn.double().std().item()
    assert abs(mean - expected) <= 4.5 * deviation / len(drawn) ** 0.5
    rarer = min(up, 1 - up) * len(drawn)
    assert abs(std - deviation) <= 3 / rarer**0.5 * deviation
    assert rarer > 500


class TestNoise:
    def test_is_the_hash_that_it_says(self) -> None:
        """Against the published function in unsigned arithmetic."""
        key, index = 0x9E3779B9, np.arange(1000, dtype=np.uint32)
        with np.errstate(over="ignore"):
            x = index + np.uint32(key)
            x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
            x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B) + np.uint32(key)
            x ^= x >> np.uint32(16)
        found = random_words.mixed(primitives.int32(key), torch.from_numpy(index.view(np.int32)))
        np.testing.assert_array_equal(found.numpy().view(np.uint32), x)

    def test_gives_every_number_to_one_place(self) -> None:
        """Backwards to where it came from, by the factors' inverses modulo 2^32."""
        index = np.arange(-(1 << 31), 1 << 31, 65537, dtype=np.int64).astype(np.int32)
        x = random_words.scrambled(torch.from_numpy(index)).numpy().view(np.uint32)
        with np.errstate(over="ignore"):
            for factor in (0x846CA68B, 0x297A2D39):
                x = x * np.uint32(pow(factor, -1, 1 << 32))
                x = x ^ (x >> np.uint32(15)) ^ (x >> np.uint32(30))
        np.testing.assert_array_equal(x.view(np.int32), index)

    def test_of_numbers_is_that_of_tensors(self) -> None:
        assert words(7, 50).tolist() == [random_words.noise(7, index) for index in range(50)]

    @pytest.mark.parametrize("distance", [*range(1, 9), 100, 128, 1000, 4096, 32768, 1 << 24])
    @pytest.mark.parametrize(("one", "other"), [("m", "m"), ("v", "v"), ("m", "v")])
    def test_pairs_of_elements_are_independent(self, one: str, other: str, distance: int) -> None:
        """Chi-square of 16 × 16 cells by the upper four bits of each; 255 ± 22.6 expected.

        By chance 1 in 10⁷ of such sums is above the limit.
        """
        count = 1 << 18
        take = {"m": random_words.upper_bits, "v": random_words.lower_bits}
        index = torch.arange(count, dtype=torch.int32)
        first = take[one](random_words.noise(5, index), 20) >> 16
        second = take[other](random_words.noise(5, index + distance), 20) >> 16
        cells = torch.bincount(16 * first + second, minlength=256).double()
        assert float((cells - count / 256).square().sum() / (count / 256)) < 255 + 6 * 22.6

    @pytest.mark.parametrize("other", ["next element", "next word", "next update", "next tensor"])
    def test_bits_are_fair_and_independent(self, other: str) -> None:
        noise = random_words.Noise(3, 10, 0)
        like = torch.empty(N)
        one = noise.word(0, like)
        two = {
            "next element": one.roll(1),
            "next word": noise.word(1, like),
            "next update": random_words.Noise(3, 11, 0).word(0, like),
            "next tensor": random_words.Noise(3, 10, 1).word(0, like),
        }[other]
        bits = torch.arange(32, dtype=torch.int32)
        one_bits = (one.unsqueeze(1) >> bits & 1).double() - 0.5
        two_bits = (two.unsqueeze(1) >> bits & 1).double() - 0.5
        limit = 5 / N**0.5
        assert one_bits.mean(0).abs().max() < limit
        assert (4 * one_bits.T @ two_bits / N).abs().max() < limit

    def test_chance_is_fine_near_zero(self) -> None:
        """A chance of 1e-8 is a multiple of the smallest uniform number but one in thousands."""
        fine = torch.arange(4096, dtype=torch.int32) << 8
        uniform = random_words.chance(torch.zeros_like(fine), fine)
        np.testing.assert_array_equal(uniform.double().numpy(), np.arange(4096) * 2.0**-48)
        largest = random_words.chance(torch.tensor(-1, dtype=torch.int32), torch.tensor(-1).int())
        assert largest.item() <= 1


class TestBfloat16:
    @pytest.mark.parametrize("value", [1.001, -1.001, 1.0077, 3e-5, -2.1e20, 1.2e-39])
    def test_is_right_in_the_mean_and_the_variance(self, value: float) -> None:
        x = torch.full((N,), value)
        drawn = encodings.decode_bfloat16(
            encodings.encode_bfloat16(x, random_words.upper_bits(words(), 16))
        ).double()
        exact = x[0].item()
        low, high = sorted(set(drawn.tolist()))
        assert low < exact < high
        assert_unbiased(drawn, low, high, exact)

    def test_leaves_its_own_numbers_alone(self) -> None:
        codes = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int32)
        values = encodings.decode_bfloat16(codes)
        finite = values.isfinite()
        back = encodings.encode_bfloat16(values, random_words.lower_bits(words(2, len(codes)), 16))
        torch.testing.assert_close(back[finite], codes[finite], rtol=0, atol=0)
        again = encodings.decode_bfloat16(back)
        assert torch.equal(again.isnan(), values.isnan())
        assert torch.equal(again[values.isinf()], values[values.isinf()])

    def test_to_nearest_is_torch_s(self) -> None:
        x = torch.cat([torch.randn(10000), torch.tensor([1 + 2.0**-8, 1 + 3 * 2.0**-8, 0.0])])
        found = encodings.decode_bfloat16(encodings.encode_bfloat16(x, encodings.to_nearest(x)))
        assert torch.equal(found, x.bfloat16().float())


@pytest.mark.parametrize("code", CODES)
class TestEightBits:
    def test_codes_rise_and_are_their_own_image(self, code: str) -> None:
        encode, decode, top = CODES[code]
        codes = torch.arange(top - 255, top + 1, dtype=torch.int32)
        for exponent in (-99, -3, 0, 60):
            scale = torch.tensor(2.0**exponent)
            values = decode(codes, scale)
            upwards = values[codes >= 0]
            assert (upwards.diff() > 0).all()
            assert upwards[0] == 0
            assert upwards[-1] < scale
            assert torch.equal(values[codes < 0], -upwards[: int((codes < 0).sum())])
            for random in (0, 1 << 19, (1 << 20) - 1):
                back = encode(values, 1 / scale, torch.tensor(random, dtype=torch.int32))
                assert torch.equal(back[values != 0], codes[values != 0])
                assert (back[values == 0] == 0).all()

    def test_is_right_in_the_mean_and_the_variance(self, code: str) -> None:
        encode, decode, top = CODES[code]
        one = torch.tensor(1.0)
        levels = decode(torch.arange(top + 1, dtype=torch.int32), one)
        for place in (1, top // 4, top // 2, (3 * top) // 4, top - 1):
            low, high = levels[place].item(), levels[place + 1].item()
            for part in (0.1, 0.5, 0.9):
                x = torch.tensor(low + part * (high - low))
                for bits in (
                    random_words.upper_bits(words(5), 20),
                    random_words.lower_bits(words(5), 20),
                ):
                    drawn = decode(encode(x, one, bits), one)
                    assert_unbiased(drawn, low, high, x.item())

    def test_the_error_is_bounded(self, code: str) -> None:
        """By an 8th, by a 16th in the upper 10 octaves without sign, and a step at the floor."""
        encode, decode, _ = CODES[code]
        octaves = OCTAVES[code]
        x = 2 ** torch.linspace(-octaves, -1.2, N)
        error = (decode(encode(x, 1.0, random_words.upper_bits(words(), 20)), 1.0) - x).abs()
        upper, finer = x >= 2.0**-10, 16 if code == "unsigned" else 8
        assert (error <= (x + 2.0**-octaves) / 8 * 1.001).all()
        assert (error[upper] <= (x[upper] + 2.0**-octaves) / finer * 1.001).all()
        for part, steps in ((upper, finer), (~upper, 8)):  # and not by much less
            assert (error[part] / x[part]).max() > 0.9 / steps

    def test_no_magnitude_leaves_the_eight_bits(self, code: str) -> None:
        encode, decode, top = CODES[code]
        x = torch.tensor(np.geomspace(1e-30, 1e37, 30011), dtype=torch.float32)
        scale = encodings.block_scale(x)
        assert (torch.frexp(scale)[0] == 0.5).all()  # powers of two
        codes = encode(x, 1 / scale, torch.tensor((1 << 20) - 1, dtype=torch.int32))
        assert codes.max() <= top
        nearest = decode(encode(x, 1 / scale, HALF), scale)
        normal = x > 1e-28
        assert ((nearest - x).abs() / x)[normal].max() < (1 / 31 if code == "unsigned" else 1 / 15)

    def test_nan_and_infinity_spoil_their_block(self, code: str) -> None:
        for bad in (torch.nan, torch.inf, -torch.inf, 3e38):
            assert encodings.block_scale(torch.tensor(abs(bad))).isnan()


def test_a_second_moment_is_never_stored_as_zero() -> None:
    x = torch.tensor([0.0, 1e-45, 1e-38, 1e-30, 1e-20, 1e-10, 1.0])
    codes = encodings.encode_unsigned(x, 1.0, torch.tensor(0, dtype=torch.int32))
    assert codes[0] == 0
    assert (codes[1:] > 0).all()
    for scale in (2.0**-99, 1.0):
        assert encodings.decode_unsigned(torch.tensor(1, dtype=torch.int32), scale) > 1e-38


def test_the_smallest_first_moment_is_below_the_smallest_root_of_a_second() -> None:
    """Of their largest: else an m rounded up over a v rounded down would make a large step."""
    first, second = (
        decode(torch.tensor([1, top], dtype=torch.int32), 1.0) for _, decode, top in CODES.values()
    )
    assert first[0] / first[1] < 0.1 * (second[0] / second[1]).sqrt()


class TestWeights:
    """θ − ηλθ, where ηλθ may be far under the spacing of the weights."""

    @pytest.mark.parametrize("strength", [1e-10, 1e-7, 1e-4])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_stochastic_moves_at_the_exact_chance(
        self, dtype: torch.dtype, strength: float
    ) -> None:
        """No sampling: a uniform number just below the exact chance moves, just above stays."""
        θ = torch.randn(4000).to(dtype).float()
        delta = (strength * θ.double()).float()
        exact = θ.double() - delta.double()
        low = subtract_stochastic(dtype, θ, delta, torch.ones_like(θ)).double()
        high = subtract_stochastic(dtype, θ, delta, torch.zeros_like(θ)).double()
        for bound in (low, high):
            assert torch.equal(bound, bound.to(dtype).double())
        chance = (exact - low) / (high - low)
        assert ((chance > 0) & (chance < 1)).float().mean() > 0.99
        inside = (chance > 0) & (chance < 0.999)
        for factor, expected in ((1 - 1e-5, high), (1 + 1e-5, low)):
            uniform = (chance * factor).float()
            found = subtract_stochastic(dtype, θ, delta, uniform).double()
            assert torch.equal(found[inside], expected[inside])

    @pytest.mark.parametrize("value", [1.0, -1.0, 1.5, -0.75])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    @pytest.mark.parametrize("part", [0.3, -0.3, 0.8])
    def test_stochastic_has_the_mean_and_the_variance(
        self, dtype: torch.dtype, value: float, part: float
    ) -> None:
        gap = torch.finfo(dtype).eps / 2
        θ = torch.full((N,), value)
        uniform = random_words.chance(words(8), words(9))
        drawn = subtract_stochastic(dtype, θ, torch.tensor(part * gap), uniform).double()
        exact = value - float(np.float32(part * gap))
        low, high = sorted(set(drawn.tolist()))
        assert low < exact < high
        assert_unbiased(drawn, low, high, exact)

    @pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf, 0.0, -0.0])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_stochastic_keeps_what_is_not_a_number(self, bad: float, dtype: torch.dtype) -> None:
        θ = torch.tensor([bad])
        found = subtract_stochastic(dtype, θ, torch.zeros(1), torch.zeros(1))
        torch.testing.assert_close(found, θ, equal_nan=True, rtol=0, atol=0)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    @pytest.mark.parametrize("strength", [1e-10, 1e-8, 1e-6, 1e-4])
    @pytest.mark.parametrize("rounding", ["kahan", "stochastic"])
    def test_decay_alone_is_the_closed_form(
        self, rounding: str, strength: float, dtype: torch.dtype
    ) -> None:
        """Zero gradients: the mean weight shrinks by (1 − ηλ)^t, where nearest loses it all."""
        if rounding == "stochastic" and dtype == torch.bfloat16 and strength < 1e-6:
            pytest.skip("too rare to sample; held exactly by the test of the chance")
        torch.manual_seed(0)
        updates, n = 20, 200_000
        p = torch.nn.Parameter((torch.rand(n) + 1).to(dtype))
        start = p.detach().double()
        optimizer = unyoke.SGDW([p], weight_decay=strength, rounding=rounding, backend="eager")
        p.grad = torch.zeros_like(p)
        for _ in range(updates):
            optimizer.step()
        end = p.detach().double()
        if rounding == "kahan":
            end = end + optimizer.state[p]["compensation"].double()
        lost = ((start - end).sum() / start.sum()).item()
        expected = 1 - (1 - strength) ** updates
        moves = strength * updates * n / torch.finfo(dtype).eps  # about so many of one spacing
        tolerance = 0.01 if rounding == "kahan" else 0.01 + 4 / moves**0.5
        assert lost == pytest.approx(expected, rel=tolerance)
        assert tolerance < 0.2

    def test_kahan_in_bfloat16_goes_on_when_the_compensation_is_large(self) -> None:
        """Its 8 bits, rounded to nearest, would lose all that is under 2^−17 of a weight."""
        p = torch.nn.Parameter(torch.full((20_000,), 1.5, dtype=torch.bfloat16))
        optimizer = unyoke.SGDW([p], weight_decay=1e-6, rounding="kahan", backend="eager")
        optimizer.init_state()
        optimizer.state[p]["compensation"].fill_(0.003)
        start = (p.detach().double() + optimizer.state[p]["compensation"].double()).sum()
        p.grad = torch.zeros_like(p)
        for _ in range(20):
            optimizer.step()
        end = (p.detach().double() + optimizer.state[p]["compensation"].double()).sum()
        assert ((start - end) / start).item() == pytest.approx(20e-6, rel=0.03)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
    def test_kahan_keeps_what_rounding_takes(self, dtype: torch.dtype) -> None:
        p = torch.nn.Parameter(torch.ones(8, dtype=dtype))
        optimizer = unyoke.SGDW(
            [p], lr=1.0, momentum=0, weight_decay=0, rounding="kahan", backend="eager"
        )
        change = torch.finfo(dtype).eps / 16
        p.grad = torch.full_like(p, change)
        for _ in range(64):
            optimizer.step()
        assert torch.equal(p.detach(), torch.full_like(p, 1 - 64 * change))
        assert optimizer.state[p]["compensation"].dtype == dtype


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

"""Formats of state and rounding of weights, as the eager backend defines them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import unyoke
from unyoke import primitives
from unyoke.storage import encodings, random_words
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

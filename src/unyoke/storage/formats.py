"""Whole tensors in the formats of :mod:`unyoke.storage.encodings`.

A state in bfloat16 is a bfloat16 tensor, and one in 8-bit blocks a uint8 tensor of codes; either
has the weight's shape and strides. Codes have a companion, named with ``_scale`` appended: one
float32 for each block of consecutive elements in memory. Everything in ``optimizer.state`` is an
ordinary tensor, and its dtype says how it is kept.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch

from unyoke.equation import Rule
from unyoke.storage import encodings, shards
from unyoke.storage.rounding import ROUNDINGS, WeightRounding, rounding_of

StateDtype: TypeAlias = torch.dtype | Literal["float32", "bfloat16", "int8"]
Rounding: TypeAlias = Literal["nearest", "kahan", "stochastic"]
State: TypeAlias = dict[str, Any]

STATE_DTYPES = ("float32", "bfloat16", "int8")
COMPENSATION = "compensation"


@dataclass(frozen=True)
class Format:
    """How one state tensor is kept.

    Attributes:
        name: for people.
        dtype: of the tensor; None for what is kept as it is computed.
        encode: ``(value, 1/scale, random) → code``, without the scale if ``block`` is 0.
        decode: ``(code, scale) → value``, likewise.
        random: how many random bits an element takes.
        nearest: what stands for the random bits when rounding to nearest, a function of the value.
        block: how many elements share a scale; 0 for formats without.
    """

    name: str
    dtype: torch.dtype | None = None
    encode: Callable[..., Any] | None = None
    decode: Callable[..., Any] | None = None
    random: int = 0
    nearest: Callable[[Any], Any] | None = None
    block: int = 0


PLAIN = Format("float32")
BFLOAT16 = Format(
    "bfloat16",
    torch.bfloat16,
    encodings.encode_bfloat16,
    encodings.decode_bfloat16,
    random=16,
    nearest=encodings.to_nearest,
)
SIGNED = Format(
    "int8",
    torch.int8,
    encodings.encode_signed,
    encodings.decode_signed,
    random=20,
    nearest=encodings.half_step,
    block=encodings.BLOCK,
)
UNSIGNED = Format(
    "int8 without sign",
    torch.uint8,
    encodings.encode_unsigned,
    encodings.decode_unsigned,
    random=20,
    nearest=encodings.half_step,
    block=encodings.BLOCK,
)
_BY_DTYPE = {kind.dtype: kind for kind in (BFLOAT16, SIGNED, UNSIGNED)}


def format_of(rule: Rule, state: Mapping[str, Any], name: str) -> Format:
    """How a state tensor is kept; its dtype tells."""
    return _BY_DTYPE.get(state[name].dtype, PLAIN)


def chosen(rule: Rule, name: str, like: torch.Tensor, state_dtype: str) -> Format:
    """How a state of this shape shall be kept.

    Only a direction's averages of gradients are narrowed: what else is kept are weights.
    """
    if state_dtype == "float32" or name not in rule.direction.formula_state:
        return PLAIN
    if like.numel() < encodings.SMALL:
        return PLAIN
    if state_dtype == "bfloat16":
        return BFLOAT16
    return UNSIGNED if name in rule.nonnegative else SIGNED


def scale_name(name: str) -> str:
    """The name of the companion of a tensor of codes."""
    return f"{name}_scale"


def extra_names(rule: Rule) -> tuple[str, ...]:
    """Every name that a format may add to a parameter's state."""
    return (*map(scale_name, rule.direction.state), COMPENSATION)


def check_state_dtype(state_dtype: Any) -> str:
    """The state dtype as a word that groups and checkpoints can hold.

    Raises:
        ValueError: there is no such format.
    """
    name = str(state_dtype).removeprefix("torch.")
    if name not in STATE_DTYPES or state_dtype is torch.int8:
        raise ValueError(
            f"state_dtype={state_dtype!r} is not a format of state: there are torch.float32 (or "
            'wider, with the weights), torch.bfloat16 and "int8" (8-bit blocks)'
        )
    return name


def check_rounding(rounding: Any) -> None:
    """Raise ValueError if there is no such rounding."""
    if rounding not in ROUNDINGS:
        raise ValueError(f"unknown rounding {rounding!r}: there are {', '.join(ROUNDINGS)}")


def objection(weight: torch.Tensor, group: Mapping[str, Any]) -> str | None:
    """Why this weight cannot have the group's formats; None if it can."""
    if weight.layout is not torch.strided:
        return (
            f"its layout is {weight.layout}, and a weight must be dense (torch.strided). Sparse "
            "gradients of a dense weight go with direction='gradient'; of sparse weights "
            "torch.optim.SGD takes care"
        )
    state_dtype, rounding = group["state_dtype"], group["rounding"]
    if state_dtype == "float32" and rounding == "nearest":
        return None
    asked = [f"state_dtype={state_dtype!r}"] if state_dtype != "float32" else []
    asked += [f"rounding={rounding!r}"] if rounding != "nearest" else []
    what = " and ".join(asked)
    if weight.is_complex():
        return f"{what} is for real weights, and this one is {weight.dtype}"
    if type(weight) not in (torch.Tensor, torch.nn.Parameter) and not shards.is_sharded(weight):
        return f"{what} is for plain tensors, and this one is a {type(weight).__name__}"
    if state_dtype != "float32" and shards.is_flat(weight):
        return (
            f"state_dtype={state_dtype!r} is not for FSDP1 (FullyShardedDataParallel), whose "
            "optim_state_dict gathers pieces of one dtype and size only: use fully_shard, whose "
            "DTensors keep any format, or leave the state in float32"
        )
    if group["differentiable"]:
        return f"{what} rounds, which autograd cannot record: leave out differentiable=True"
    try:
        rounding_of(rounding, weight.dtype)
    except ValueError as error:
        return str(error)
    return None


# Tensors


def in_memory(tensor: torch.Tensor) -> torch.Tensor:
    """A dense tensor's elements in the order in which they lie in memory."""
    return tensor.as_strided((tensor.numel(),), (1,))


@functools.cache
def wide(dtype: torch.dtype) -> torch.dtype:
    """What state of numbers in this dtype is kept in plainly; torch takes longer to say it."""
    return torch.promote_types(dtype, torch.float32)


def allocate(
    rule: Rule, initial: Mapping[str, torch.Tensor], group: Mapping[str, Any]
) -> dict[str, torch.Tensor]:
    """The state's tensors in the group's formats, companions included."""
    state: State = {}
    for name, value in initial.items():
        put(state, name, value, chosen(rule, name, value, group["state_dtype"]))
    return state


def put(state: State, name: str, value: torch.Tensor, kind: Format) -> None:
    """Make the tensors that keep ``value``, rounded to nearest."""
    if kind.dtype is None:
        # bfloat16 moments rounded to nearest would stand still: 0.999·v rounds back to v
        dtype = wide(value.dtype)
        state[name] = value if value.dtype is dtype else value.to(dtype)
        return
    if shards.is_sharded(value):
        own: State = {}
        put(own, name, shards.local(value), kind)
        state |= {**own, name: shards.sharded_like(own[name], value)}
        return
    state[name] = torch.zeros_like(value, dtype=kind.dtype, memory_format=torch.preserve_format)
    if kind.block:
        blocks = -(-value.numel() // kind.block)
        state[scale_name(name)] = torch.zeros(blocks, device=value.device)
    write(state, name, value, kind)


def read(state: Mapping[str, Any], name: str, kind: Format) -> torch.Tensor:
    """A state's values, in float32 or wider."""
    kept: torch.Tensor = state[name]
    if kind.decode is None:
        return kept
    if shards.is_sharded(kept):
        own = {**state, name: shards.local(kept)}
        return shards.sharded_like(read(own, name, kind), kept)
    result = torch.empty_like(kept, dtype=torch.float32)
    if kind.block:
        codes = _blocks(_codes(kept).to(torch.int32), kind.block)
        values = kind.decode(codes, state[scale_name(name)].unsqueeze(1))
        in_memory(result).copy_(values.flatten()[: kept.numel()])
    else:
        in_memory(result).copy_(kind.decode(_codes(kept).to(torch.int32)))
    return result


def write(
    state: Mapping[str, Any],
    name: str,
    value: torch.Tensor,
    kind: Format,
    random: torch.Tensor | None = None,
) -> None:
    """Keep values in place; ``random`` are the elements' random bits, in the order of memory."""
    kept: torch.Tensor = state[name]
    if kind.encode is None or kind.nearest is None:
        kept.copy_(value)
        return
    values = in_memory(torch.empty_like(kept, dtype=torch.float32).copy_(value))
    if random is None:
        nearest = torch.as_tensor(kind.nearest(values), dtype=torch.int32, device=values.device)
        random = nearest.expand(values.shape)
    if kind.block:
        values, random = _blocks(values, kind.block), _blocks(random, kind.block)
        scale = encodings.block_scale(values.abs().amax(dim=1))
        state[scale_name(name)].copy_(scale)
        codes = kind.encode(values, encodings.inverse(scale.unsqueeze(1)), random)
        codes = codes.flatten()[: kept.numel()]
    else:
        codes = kind.encode(values, random)
    place = _codes(kept)
    place.copy_(codes.to(place.dtype))


def converted(
    rule: Rule,
    state: Mapping[str, Any],
    layout: Mapping[str, torch.Tensor],
    group: Mapping[str, Any],
) -> State:
    """The state in the group's formats, with the strides of ``layout``.

    What is in its format already is passed on bit for bit; the rest is rounded to nearest. A
    compensation that the group does not keep is dropped: it is less than half an ulp of a weight.

    Raises:
        ValueError: codes whose scales are missing or do not fit.
    """
    extra = extra_names(rule)
    result = {name: state[name] for name in state if name not in (*layout, *extra)}
    for name, like in layout.items():
        have, want = format_of(rule, state, name), chosen(rule, name, like, group["state_dtype"])
        if have.block:
            check_scales(state, name, have)
        laid = torch.empty_like(like, dtype=torch.float32)
        if have is want and (not have.block or state[name].stride() == laid.stride()):
            names = (name, scale_name(name)) if have.block else (name,)
            result |= {each: state[each] for each in names}
        else:
            value = read(state, name, have)
            laid = torch.empty_like(like, dtype=value.dtype, device=value.device).copy_(value)
            put(result, name, laid, want)
    if group["rounding"] == "kahan" and COMPENSATION in state:
        result[COMPENSATION] = state[COMPENSATION]
    return result


def portable(state: Any) -> Any:
    """A state that a checkpoint can be cut anew from, among other processes; nearly always itself.

    8-bit codes of a sharded parameter become float32: their blocks begin at a shard's first
    element, and elsewhere the shards begin elsewhere.
    """
    if not isinstance(state, dict):
        return state  # somebody else's
    result = state
    for name, value in state.items():
        if shards.is_sharded(value) and (kind := _BY_DTYPE.get(value.dtype, PLAIN)).block:
            kept = {each: result[each] for each in result if each != scale_name(name)}
            result = kept | {name: read(state, name, kind)}
    return result


def check_scales(state: Mapping[str, Any], name: str, kind: Format) -> None:
    """Refuse codes whose scales are missing or are not one float32 for each block.

    Raises:
        ValueError: so it is.
    """
    blocks = -(-shards.local(state[name]).numel() // kind.block)
    scales = state.get(scale_name(name))
    if isinstance(scales, torch.Tensor):
        is_plain = scales.layout is torch.strided and scales.is_meta <= state[name].is_meta
        if scales.shape == (blocks,) and scales.dtype == torch.float32 and is_plain:
            return
        found = f"have shape {tuple(scales.shape)} and are {scales.dtype}"
        if not is_plain:
            found += f", {scales.layout} on {scales.device}"
    else:
        found = "are missing" if scales is None else f"are a {type(scales).__name__}"
    raise ValueError(
        f"{name} is in 8-bit codes, whose scales {scale_name(name)!r} {found}: "
        f"{blocks} float32 numbers are needed"
    )


def _codes(kept: torch.Tensor) -> torch.Tensor:
    """The whole numbers that stand for a tensor's, in the order of memory."""
    flat = in_memory(kept)
    return flat.view(torch.int16) if kept.dtype == torch.bfloat16 else flat


def _blocks(flat: torch.Tensor, block: int) -> torch.Tensor:
    """A row for each block; the last is filled with zeros."""
    return torch.nn.functional.pad(flat, (0, -flat.numel() % block)).view(-1, block)


# Weights


def subtract(
    weight: torch.Tensor,
    value: torch.Tensor,
    delta: torch.Tensor,
    rounding: WeightRounding,
    state: Mapping[str, Any],
    uniform: Callable[[], torch.Tensor],
) -> None:
    """θ − delta into ``weight``; ``value`` is θ in the dtype of the computation.

    Args:
        weight: the parameter.
        value: its numbers.
        delta: what is subtracted.
        rounding: of this weight.
        state: of the parameter, with its compensation.
        uniform: draws the weight's random numbers, in the order of memory.
    """
    targets, given = [weight], [value]
    if rounding.compensated:
        targets.append(state[COMPENSATION])
        given.append(state[COMPENSATION].to(value.dtype))
    given.append(delta)
    if rounding.random:
        drawn = torch.empty_like(weight, dtype=torch.float32)
        in_memory(drawn).copy_(uniform())
        given.append(drawn)
    for target, new in zip(targets, rounding.subtract(*given), strict=True):
        target.copy_(new)

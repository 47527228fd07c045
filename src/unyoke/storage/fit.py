"""Whether a parameter's state fits its weight, and what makes it fit.

Programs cast and move their models after the optimizer has made its state, users edit that state,
and checkpoints come from anywhere. Kernels get bare addresses: a tensor that is narrower or shorter
than they take it for makes them write into somebody else's memory. So every state tensor passes
through here when a plan is made and when a checkpoint is read, and the backends ask
:func:`companion_objection` once more of the tensors that their layout rules do not cover.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch

from unyoke.equation import Hyperparameters, Rule
from unyoke.storage import encodings, formats


def parameter_name(weight: torch.Tensor, group: Mapping[str, Any]) -> str:
    """A parameter as messages name it: by its name if the group has names."""
    return parameter_names([weight], group)[0]


def parameter_names(weights: Iterable[torch.Tensor], group: Mapping[str, Any]) -> list[str]:
    """Several parameters of a group, each as messages name it."""
    numbers = {id(weight): number for number, weight in enumerate(group["params"])}
    names = group.get("param_names")
    found = [numbers[id(weight)] for weight in weights]
    return [f"{k} of its group" if names is None else repr(names[k]) for k in found]


def followed(
    rule: Rule, weight: torch.Tensor, state: Mapping[str, Any], group: Hyperparameters
) -> dict[str, torch.Tensor]:
    """The tensors to put into ``state`` so that it fits the weight; none if it fits already.

    State is on the weight's device; that of a weight on the meta device, where there are no
    numbers, stays where it is. State that is kept plainly has the dtype that it would be made in
    now, at least float32; codes keep theirs. The compensation has the weight's: what a cast weight
    plus its cast compensation amount to is the same number.

    Raises:
        ValueError: state that does not fit and cannot be cast; nothing is changed.
    """
    changed: dict[str, torch.Tensor] = {}
    wide = formats.wide(weight.dtype)
    expected: Mapping[str, torch.Tensor] | None = None
    for name in rule.state:
        value = state[name]
        if _is_as_made(value, weight, wide):
            continue  # as nearly always, and a meta tensor takes as long as a small update
        if expected is None:
            expected = rule.initial(weight.detach().to("meta"), group)
        like = expected[name]
        check_tensor(name, value, like.shape, weight.device)
        kind = formats.format_of(rule, state, name)
        check_placement(name, value, weight)
        if kind.block:
            formats.check_scales(state, name, kind)
            _move(changed, formats.scale_name(name), state[formats.scale_name(name)], weight)
        want = formats.wide(like.dtype)
        if kind is formats.PLAIN and value.dtype != want:
            value = changed[name] = cast(name, value, want)
        _move(changed, name, value, weight)
    if group["rounding"] == "kahan" and formats.COMPENSATION in state:
        value = state[formats.COMPENSATION]
        check_tensor(formats.COMPENSATION, value, weight.shape, weight.device)
        if value.dtype != weight.dtype:
            value = cast(formats.COMPENSATION, value, weight.dtype)
            changed[formats.COMPENSATION] = value
        _move(changed, formats.COMPENSATION, value, weight)
    return changed


def _is_as_made(value: Any, weight: torch.Tensor, dtype: torch.dtype) -> bool:
    return (
        type(value) is torch.Tensor
        and type(weight) in PLAIN
        and value.dtype == dtype
        and value.device == weight.device
        and value.shape == weight.shape
        and value.layout is torch.strided
    )


def _move(
    changed: dict[str, torch.Tensor], name: str, value: torch.Tensor, weight: torch.Tensor
) -> None:
    if value.device != weight.device and not weight.is_meta:
        check_memory(name, value)
        changed[name] = value.to(weight.device)


def check_placement(name: str, value: torch.Tensor, weight: torch.Tensor) -> None:
    """Refuse state that is cut into shards in another way than its weight.

    Raises:
        ValueError: so it is.
    """
    if type(weight) in PLAIN and type(value) in PLAIN:
        return
    here, there = _placement(value), _placement(weight)
    if here != there and value.shape == weight.shape:
        raise ValueError(f"{name} is {here}, and the weight is {there}")


def _placement(tensor: torch.Tensor) -> str:
    """How a tensor lies on the ranks, in words."""
    from torch.distributed.tensor import DTensor  # slow, and not everywhere

    if not isinstance(tensor, DTensor):
        return "one whole tensor"
    return f"a DTensor with placements {tensor.placements} over {tensor.device_mesh}"


PLAIN = (torch.Tensor, torch.nn.Parameter)


def lacks_memory(tensor: torch.Tensor) -> str | None:
    """What a strided tensor's storage lacks, after ``untyped_storage().resize_``; None if nothing.

    torch does not ask for its size: it would read and write past the storage's end.
    """
    if not tensor.numel() or tensor.is_meta:
        return None
    held = tensor.untyped_storage().nbytes()
    if tensor.is_contiguous():
        reach = tensor.numel()
    else:
        steps = zip(tensor.shape, tensor.stride(), strict=True)
        reach = 1 + sum((size - 1) * step for size, step in steps)
    needed = (tensor.storage_offset() + reach) * tensor.element_size()
    if held >= needed:
        return no_address(tensor)
    return (
        f"has a storage of {held} bytes and needs {needed}: was it resized "
        "(untyped_storage().resize_)? Give it its memory back before the step"
    )


def no_address(tensor: torch.Tensor) -> str | None:
    """Why torch can write to a tensor no more, in words; None if it can.

    Its own error, an internal assertion, would come in the middle of an update.
    """
    try:
        tensor.data_ptr()
    except RuntimeError:
        return (
            "shared its memory with a lazy copy (torch._lazy_clone) when its storage was resized, "
            "and torch cannot write to it since: give it other data before the step "
            "(tensor.data = tensor.data.clone())"
        )
    return None


def check_memory(name: str, tensor: torch.Tensor) -> None:
    """Refuse to read a tensor whose memory was taken away.

    Raises:
        ValueError: so it is.
    """
    plain = type(tensor) in PLAIN and tensor.layout is torch.strided
    if plain and (reason := lacks_memory(tensor)) is not None:
        raise ValueError(f"{name}, of shape {tuple(tensor.shape)}, {reason}")


def check_tensor(name: str, value: Any, shape: torch.Size | None, device: torch.device) -> None:
    """Refuse what is no dense tensor of this shape, or has no numbers for this device.

    Args:
        name: of the state.
        value: what stands there.
        shape: what it must have; None if that is looked at elsewhere.
        device: the weight's.

    Raises:
        ValueError: so it is.
    """
    if not isinstance(value, torch.Tensor):
        raise ValueError(f"{name} is a {type(value).__name__}, and a tensor is needed")
    if value.layout is not torch.strided:
        raise ValueError(f"{name} has layout {value.layout}, and a dense tensor is needed")
    if value.is_meta and device.type != "meta":
        raise ValueError(
            f"{name} is on the meta device, where there are no numbers, and the weight is on "
            f"{device}: read the checkpoint with another map_location"
        )
    if shape is not None and value.shape != shape:
        raise ValueError(
            f"shape mismatch: {name} has shape {tuple(value.shape)}, and the weight needs "
            f"{tuple(shape)}"
        )


def check_count_shape(name: str, value: torch.Tensor, models: int | None) -> None:
    """Refuse numbers of a parameter, such as ``step``, that are more than one, or one per model.

    Args:
        name: of the number.
        value: what stands there.
        models: K of K stacked models, for numbers that each of them may have.

    Raises:
        ValueError: so it is.
    """
    if value.numel() != 1 and tuple(value.shape) != (models,):
        wanted = (
            "one number" if models is None else f"one number, or one for each of {models} models"
        )
        raise ValueError(f"{name} is of shape {tuple(value.shape)}, and {wanted} is needed")


def cast(name: str, value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The same numbers in another dtype.

    Raises:
        ValueError: they are codes, or complex and not wanted so.
    """
    if not (value.is_floating_point() or value.is_complex()):
        raise ValueError(
            f"{name} is {value.dtype}, and {dtype} is needed: integers cannot be converted to it"
        )
    if value.is_complex() and not dtype.is_complex:
        raise ValueError(f"{name} is {value.dtype}, and {dtype} is needed: the weight is real")
    check_memory(name, value)
    return value.to(dtype)


def companion_objection(
    weight: torch.Tensor, state: Mapping[str, Any], scaled: Sequence[str], rounding: str
) -> str | None:
    """Why a kernel cannot be given the addresses of what accompanies weight and state.

    The reason continues a sentence that begins with the parameter.

    Args:
        weight: the parameter.
        state: its state.
        scaled: the names of the states that are kept in blocks.
        rounding: of the weight.
    """
    return next(_companion_objections(weight, state, scaled, rounding), None)


def _companion_objections(
    weight: torch.Tensor, state: Mapping[str, Any], scaled: Sequence[str], rounding: str
) -> Iterator[str]:
    shape = tuple(weight.shape)
    wanted: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
        formats.scale_name(name): ((-(-state[name].numel() // encodings.BLOCK),), torch.float32)
        for name in scaled
    }
    if rounding == "kahan":
        wanted[formats.COMPENSATION] = (shape, weight.dtype)
    for name, (size, dtype) in wanted.items():
        tensor: Any = state.get(name)
        if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
            yield f"has {name} of type {type(tensor).__name__}"
        elif tensor.layout is not torch.strided or tensor.device != weight.device:
            yield f"is on {weight.device} and has {name} on {tensor.device}, {tensor.layout}"
        elif tuple(tensor.shape) != size or tensor.dtype != dtype:
            yield (
                f"has {name} of shape {tuple(tensor.shape)} in "
                f"{tensor.dtype}, and not {size} in {dtype}"
            )
        elif name != formats.COMPENSATION and not tensor.is_contiguous():
            yield f"has {name} with strides {tensor.stride()}"

"""Which work the backend takes, and the step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unyoke.backends import staged
from unyoke.backends._native import code_folder
from unyoke.backends._native.availability import missing, tried, unable
from unyoke.backends.base import Backend, Work
from unyoke.backends.cpu.prepared import Prepared
from unyoke.storage.fit import lacks_memory

if TYPE_CHECKING:
    from unyoke.backends.cpu.table import Known


class Cpu(Backend):
    """Runs the compiled formula over all tensors of a group in one call."""

    name = "cpu"
    resumes = True

    def why_not(self, work: Work) -> str | None:
        prepared: Prepared | staged.Stacks | None = work.cache.get("cpu")
        if prepared is not None and prepared.holds(work):
            return None
        reason = self.missing() or _objection(work) or unable()
        if reason is not None or work.rule.stage is None:
            return reason or _prepare(work)
        work.cache["cpu"] = stacks = staged.Stacks(work, range(len(work.weights)), self)
        if (reason := stacks.why_not(work)) is not None:
            del work.cache["cpu"]
        return reason

    def missing(self) -> str | None:
        return missing()

    def tried(self) -> str | None:
        return tried()

    def remark(self) -> str | None:
        reason = code_folder.objection()
        return None if reason is None else f"it compiles anew in each process: {reason}"

    def cannot_compile(self, work: Work) -> str | None:
        """What stops this machine from compiling work that this backend is for; None if nothing."""
        if work.weights[0].device.type != "cpu" or work.rule.stage is not None:
            return None
        return self.missing() or unable() if _objection(work) is None else None

    def step(self, work: Work) -> None:
        work.cache["cpu"].run(work)

    def captured(self, work: Work) -> Prepared | None:
        prepared = work.cache.get("cpu")
        return prepared if isinstance(prepared, Prepared) else None


def _objection(work: Work) -> str | None:
    if work.rule.stage is not None:
        reasons = (staged.objection(work, index) for index in range(len(work.weights)))
        return next(filter(None, reasons), None)
    by_norms = work.rule.norms is not None and work.rule.decay.scope == "element"
    if work.rule.scope != "element" and not by_norms:
        return f"{work.rule.name} works on whole tensors, not on elements"
    if by_norms and work.models is not None:
        return f"{work.rule.name} goes through stacked models one by one"
    if work.differentiable:
        return "autograd cannot record compiled code"
    if work.found_inf is not None:
        return "a GradScaler's verdict on a device"
    return None


def _prepare(work: Work) -> str | None:
    """Find the tensors and compile what they need; the reason if that cannot be."""
    from unyoke.backends.cpu.table import Known

    known: Known | None = work.kept.get("cpu")
    if known is not None and known.models == work.models and _prepare_by(known, work) is None:
        return None
    reason = None
    for one_by_one in (False, True) if len(work.weights) > 1 else (True,):
        known = Known(work.models, one_by_one)
        if (reason := _prepare_by(known, work)) is None:
            break
    return reason


def _prepare_by(known: Known, work: Work) -> str | None:
    """The same, with what is known of some tensors; it is kept only if it is so still."""
    prepared = _prepared(known, work)
    if not isinstance(prepared, str) and prepared.holds(work):
        work.kept["cpu"], work.cache["cpu"] = known, prepared
        return None
    work.kept.pop("cpu", None)
    work.cache.pop("cpu", None)
    return prepared if isinstance(prepared, str) else _without_memory(work)


def _prepared(known: Known, work: Work) -> Prepared | str:
    if work.rule.norms is not None:
        from unyoke.backends.cpu.normed import normed

        return normed(known, work)
    tables = known.tables(work)
    return tables if isinstance(tables, str) else Prepared(work, tables)


def _without_memory(work: Work) -> str:
    """What compiled code has found where Python has found nothing."""
    every = zip(work.weights, work.grads, work.states, strict=True)
    for index, (weight, grad, state) in enumerate(every):
        for name, tensor in {"weight": weight, "gradient": grad, **state}.items():
            if isinstance(tensor, torch.Tensor) and (reason := lacks_memory(tensor)):
                return f"the {name} of {work.label(index)} {reason}"
    return "torch's memory holds these tensors differently from what Python says"

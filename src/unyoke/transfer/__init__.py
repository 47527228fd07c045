"""From a tuned run to another: learning rate and weight decay for a longer, wider, larger run.

:func:`~unyoke.transfer.transferring.transfer` gives what each published rule says, what it amounts
to in the new run, and one recommendation; :func:`~unyoke.transfer.conventions.convert` takes a
number from one library to another. Neither needs torch.

>>> from unyoke.transfer import Run, convert, transfer
>>> f"{convert(0.05, source='torch', lr=3e-4):.4g}"
'1.5e-05'
>>> tuned = Run(lr=3e-4, weight_decay=1.5e-5, batch_size=256, samples=50_000, epochs=30)
>>> answer = transfer(tuned, tuned.changed(batch_size=512, epochs=90))
>>> [f"{row.rule}: {row.weight_decay:.2g}" for row in answer.rules][:3]
['keep λ: 1.5e-05', 'keep λ/α: 2.1e-05', 'normalized: 1.2e-05']
"""

from unyoke.transfer.conventions import CONVENTIONS, Convention, convert
from unyoke.transfer.measured import Measured, read_maps
from unyoke.transfer.result import Outcome, Transfer
from unyoke.transfer.rules import RULES, Rule
from unyoke.transfer.run import Run, TransferError
from unyoke.transfer.transferring import transfer

__all__ = [
    "CONVENTIONS",
    "RULES",
    "Convention",
    "Measured",
    "Outcome",
    "Rule",
    "Run",
    "Transfer",
    "TransferError",
    "convert",
    "read_maps",
    "transfer",
]

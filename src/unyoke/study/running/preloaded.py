"""What the server of workers imports before it forks them; nobody else does.

Collecting garbage meanwhile takes a fifth of the time and finds nothing. What is there in the end
is kept out of later collections, which would write to pages that the workers share.

torch imports torch._dynamo, as large as itself, when a process makes its first optimizer.
"""

import gc
from importlib import import_module

gc.disable()
for name in ("torch._dynamo", "unyoke.study.training.training"):
    import_module(name)
gc.freeze()
gc.enable()

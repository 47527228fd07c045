"""Machine code: from the text of a function to an address to call, with a file on disk between.

Numba turns the text into LLVM's language. There everything but the function itself is thrown away,
so that what remains calls nothing but the C library, and Numba need not be loaded to run it: a
process that finds its kernels on disk saves Numba's import, which takes longer than all the rest.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import llvmlite.binding as llvm

from unyoke.backends._native import code_folder
from unyoke.stages import from_text

Names: TypeAlias = Callable[[], Mapping[str, Any]]

# Beside LLVM's own; what else a function might call would have to be found by Numba.
C_LIBRARY = frozenset({"exp", "expf", "memcpy", "memmove", "memset", "pow"})

_lock = threading.RLock()


def _new_lock() -> None:
    """The thread that held the old one does not exist in a forked process."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)


def build(text: str, names: Names, fingerprint: str, arguments: int) -> int:
    """The address of the function ``run`` of a text, compiled now or in an earlier process.

    :func:`unyoke.backends._native.c_calls.bound` makes something of it that Python can call.

    Args:
        text: Python source in which ``run`` takes 64-bit integers and returns 0 or 1.
        names: makes what the names in the text stand for; asked only if it must be compiled.
        fingerprint: changes with what those names stand for.
        arguments: how many integers ``run`` takes.

    Raises:
        ImportError: there is no Numba to compile it.
        numba.core.errors.NumbaError: the text is beyond Numba.
    """
    # Whatever machine code depends on is in the key: a stale file is never found, and none needs
    # to be invalidated
    key = hashlib.sha256(repr((text, fingerprint, *_surroundings())).encode()).hexdigest()[:40]
    with _lock:
        code = code_folder.read(f"{key}.o")
        if code is None:
            code = _compile(text, names(), f"unyoke_{key}", arguments)
            code_folder.write(f"{key}.o", code)
        return load(code, f"unyoke_{key}")


@functools.cache
def reader(text: str) -> int:
    """The address of the function ``run`` of a text that reads memory; it takes one address."""
    return build(text, _names_of_readers, "", arguments=1)


def _names_of_readers() -> Mapping[str, Any]:
    from unyoke.backends._native import intrinsics

    return intrinsics.names()


def try_out(text: str) -> None:
    """Compile what :func:`reader` compiles, whatever is on disk.

    Raises:
        Exception: what Numba or LLVM says if that cannot be done.
    """
    with _lock:
        load(_compile(text, _names_of_readers(), "unyoke_trial", arguments=1), "unyoke_trial")


def emit(module: str) -> bytes:
    """Machine code of a module in LLVM's language."""
    return bytes(_target_machine().emit_object(llvm.parse_assembly(module)))


def load(code: bytes, entry: str) -> int:
    """Take machine code into this process; the address of its function ``entry``."""
    with _lock:
        engine = _engine()
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        return int(engine.get_function_address(entry))


def _compile(text: str, names: Mapping[str, Any], entry: str, arguments: int) -> bytes:
    import numba

    function: Any = from_text("run", text, entry, names)
    function.compile((numba.int64,) * arguments)
    compiled = function.overloads[function.signatures[0]]
    module = llvm.parse_assembly(compiled.library.get_llvm_str())
    _keep_only(module, compiled.fndesc.llvm_func_name, entry)
    return bytes(_target_machine().emit_object(module))


def _keep_only(module: Any, name: str, entry: str) -> None:
    # Numba's wrappers for Python call into its runtime, which a process without Numba has not
    for value in (*module.functions, *module.global_variables):
        if value.name == name:
            value.name = entry
            value.linkage = "external"
        elif not value.is_declaration:
            value.linkage = "internal"
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    options = llvm.create_pipeline_tuning_options(speed_level=0)
    passes.run(module, llvm.create_pass_builder(_target_machine(), options))
    for function in module.functions:
        if function.is_declaration and not (
            function.name.startswith("llvm.") or function.name in C_LIBRARY
        ):
            raise RuntimeError(f"compiled code would call {function.name}, which Numba keeps")


@functools.cache
def _target_machine() -> Any:
    try:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
    except RuntimeError:
        pass  # newer llvmlite does it by itself, and says so
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        jit=True,
        codemodel="jitdefault",
    )


@functools.cache
def _engine() -> Any:
    # An engine owns its target machine, so it gets one that nobody else has
    machine = _target_machine.__wrapped__()
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)


@functools.cache
def _surroundings() -> tuple[str, ...]:
    """What machine code depends on beside its text."""
    folders = (Path(__file__).parent, Path(__file__).parents[1] / "cpu")
    return (
        *(file.read_text("utf-8") for folder in folders for file in sorted(folder.glob("*.py"))),
        sys.version,
        importlib.metadata.version("numba"),
        importlib.metadata.version("llvmlite"),
        llvm.get_process_triple(),
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
    )

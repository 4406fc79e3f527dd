"""How the kernels are compiled: once a machine, kept beside the code, free of the interpreter's
lock.

The same input gives the same bits on the same machine, run after run. `python -m domain.pricing`
compiles them all ahead of time; the front door does so when the code has changed.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import numba
from llvmlite import ir
from numba.extending import intrinsic

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_FAST = {"contract", "nsz", "nnan", "ninf", "arcp", "reassoc"}


def _kept_in(sources: Path) -> str:
    """A folder for exactly this code. numba compares a kept kernel with the file it stands in, not
    with those it calls: after an edit there it would go on with the old ones."""
    code = b"".join(path.read_bytes() for path in sorted(sources.glob("*.py")))
    return str(sources / "__pycache__" / f"kernels-{hashlib.sha256(code).hexdigest()[:16]}")


# numba fills its config when it starts, which no type checker sees.
numba.config.CACHE_DIR = _kept_in(Path(__file__).parent)  # type: ignore[attr-defined]

#: Every kernel, for whoever asks whether one was compiled in a hot path.
KERNELS: list[Any] = []


def _compiled(
    function: Kernel, fastmath: set[str] | bool, inline: Literal["never", "always"] = "never"
) -> Kernel:
    made: Any = numba.njit(
        cache=True, nogil=True, error_model="numpy", fastmath=fastmath, inline=inline
    )(function)
    KERNELS.append(made)
    kernel: Kernel = made
    return kernel


def kernel(function: Kernel) -> Kernel:
    """Compiled on its first call for rows that are known to be sound: no NaN, no infinity."""
    return _compiled(function, _FAST)


def inner_kernel(function: Kernel) -> Kernel:
    """A `kernel` that becomes part of each that calls it: handing over a tuple of many arrays, each
    of them counted, would cost more than its work."""
    return _compiled(function, _FAST, "always")


def fused_kernel(function: Kernel) -> Kernel:
    """Compiled on its first call with every sum in the order it is written; a product and a sum may
    be one rounding. NaN stays NaN."""
    return _compiled(function, {"contract"})


def exact_kernel(function: Kernel) -> Kernel:
    """Compiled on its first call to IEEE arithmetic as it is written. NaN stays NaN."""
    return _compiled(function, False)


def _bits_to_float(typing: Any, bits: Any) -> Any:

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return numba.float64(numba.int64), codegen


#: The double with these 64 bits: what makes a power of two without a library call.
bits_to_float: Any = intrinsic(_bits_to_float)

"""How the kernels are compiled: once a machine, kept beside the code, free of the interpreter's lock.

The same input gives the same bits on the same machine, run after run.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numba
from llvmlite import ir
from numba.extending import intrinsic

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_FAST = {"contract", "nsz", "nnan", "ninf", "arcp", "reassoc"}


def kernel(function: Kernel) -> Kernel:
    """Compiled on its first call for rows that are known to be sound: no NaN, no infinity."""
    compiled: Kernel = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)(
        function
    )
    return compiled


def fused_kernel(function: Kernel) -> Kernel:
    """Compiled on its first call with every sum in the order it is written; a product and a sum may
    be one rounding. NaN stays NaN."""
    compiled: Kernel = numba.njit(
        cache=True, nogil=True, error_model="numpy", fastmath={"contract"}
    )(function)
    return compiled


def exact_kernel(function: Kernel) -> Kernel:
    """Compiled on its first call to IEEE arithmetic as it is written. NaN stays NaN."""
    compiled: Kernel = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return compiled


@intrinsic
def bits_to_float(typing: Any, bits: Any) -> Any:
    """The double with these 64 bits: what makes a power of two without a library call."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return numba.float64(numba.int64), codegen

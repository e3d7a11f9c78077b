"""The one decorator for compiled kernels, typed so that callers keep their signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., object]")


def compiled(function: F) -> F:
    """Compile a kernel that releases the GIL; the machine code is kept on disk."""
    return cast("F", njit(nogil=True, cache=True)(function))

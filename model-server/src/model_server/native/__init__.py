"""What is compiled where there was a compiler when the package was installed: walk trees, scan numbers, count bins.

Everything works without it, slower: whoever uses a function of it has another way to the same answer.
"""

import ctypes
import importlib.machinery
from functools import cache
from pathlib import Path
from typing import Any

POINTER, SIZE = ctypes.c_void_p, ctypes.c_int64
NAME = "_library"


@cache
def library() -> ctypes.PyDLL | None:
    """Return the compiled functions, each for `doubles` and `singles`; None where there are none.

    `walk_*(forest, table, rows, width, out)`, `scan_*(text, rows, width, kinds, out)` and
    `count_*(columns, table, rows, width)`; the addresses of numbers are those of arrays of the type.
    """
    for ending in importlib.machinery.EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"{NAME}{ending}")
        if path.exists():
            # A call takes microseconds: letting go of the interpreter meanwhile would cost more than it gives.
            return _declared(ctypes.PyDLL(str(path)))
    return None


def _declared(found: ctypes.PyDLL) -> ctypes.PyDLL:
    forms: dict[str, tuple[list[Any], Any]] = {
        "walk": ([POINTER, POINTER, SIZE, SIZE, POINTER], None),
        "scan": ([ctypes.c_char_p, SIZE, SIZE, POINTER, POINTER], ctypes.c_int),
        "count": ([POINTER, ctypes.c_char_p, SIZE, SIZE], None),
    }
    for name, (takes, gives) in forms.items():
        for kind in ("doubles", "singles"):
            function = getattr(found, f"{name}_{kind}")
            function.argtypes, function.restype = takes, gives
    return found


def function(name: str, typecode: str) -> Any:
    """Return `walk`, `scan` or `count` for arrays of this type, or None where nothing was compiled."""
    found = library()
    return getattr(found, f"{name}_{'doubles' if typecode == 'd' else 'singles'}") if found else None

"""LightGBM's own library through its C interface.

The Python package is neither imported nor needed: it would bring scipy and spend tens of microseconds on each call.
"""

import ctypes
import importlib.util
from array import array
from functools import cache
from pathlib import Path
from typing import Any

from model_server.metadata import ModelError

_FLOAT32, _FLOAT64 = 0, 1
NORMAL, RAW = 0, 1
_ROW_MAJOR = 1
_ONE_THREAD = b"num_threads=1"
_Pointer, _Int = ctypes.c_void_p, ctypes.c_int


@cache
def _library() -> ctypes.CDLL:
    found = importlib.util.find_spec("lightgbm")
    folders = list(found.submodule_search_locations or ()) if found else []
    for folder in folders:
        for path in sorted(Path(folder).rglob("lib_lightgbm*")):
            if path.suffix in (".so", ".dylib", ".dll"):
                try:
                    return _declared(ctypes.CDLL(str(path)))
                except OSError as error:
                    raise ModelError(f"LightGBM's library cannot be loaded: {error}; on Debian: libgomp1") from None
    raise ModelError(
        "LightGBM's library is not installed, and this model needs it: install model-server[lightgbm], "
        "or install model-server again where there is a C compiler"
    )


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    shape: list[Any] = [_Int, ctypes.c_int32, ctypes.c_int32, _Int]  # type, rows, columns, row-major
    kind: list[Any] = [_Int, _Int, _Int, ctypes.c_char_p]  # kind of answer, first and number of iterations, parameters
    library.LGBM_BoosterPredictForMat.argtypes = [_Pointer, _Pointer, *shape, *kind, _Pointer, _Pointer]
    fast: list[Any] = [_Pointer, _Int, _Int, _Int, _Int, ctypes.c_int32, ctypes.c_char_p, _Pointer]
    library.LGBM_BoosterPredictForMatSingleRowFastInit.argtypes = fast
    library.LGBM_BoosterPredictForMatSingleRowFast.argtypes = [_Pointer] * 4
    library.LGBM_BoosterFree.argtypes = [_Pointer]
    library.LGBM_FastConfigFree.argtypes = [_Pointer]
    return library


class Booster:
    """A model in LightGBM's text format, for rows of `width` numbers."""

    def __init__(self, text: bytes, width: int, *, answer: int = NORMAL, typecode: str = "d") -> None:
        self.typecode = typecode
        self._library = _library()
        self._handle, self._fast = ctypes.c_void_p(), ctypes.c_void_p()
        iterations = ctypes.c_int()
        # A file without its trees' sizes makes the library end the process; the text is checked before it sees it.
        if not text.startswith(b"tree\n") or b"\ntree_sizes=" not in text or b"end of trees" not in text:
            raise ModelError("the file is no LightGBM model as text; save it with Booster.save_model")
        self._check(
            self._library.LGBM_BoosterLoadModelFromString(text, ctypes.byref(iterations), ctypes.byref(self._handle))
        )
        self._width, self._answer = width, answer
        self._type = _FLOAT64 if typecode == "d" else _FLOAT32
        features = ctypes.c_int()
        self._check(self._library.LGBM_BoosterGetNumFeature(self._handle, ctypes.byref(features)))
        if features.value != width:
            raise ModelError(f"the model takes {features.value} features, its metadata names {width}")
        classes = ctypes.c_int()
        self._check(self._library.LGBM_BoosterGetNumClasses(self._handle, ctypes.byref(classes)))
        self.outputs = classes.value
        init = self._library.LGBM_BoosterPredictForMatSingleRowFastInit
        self._check(init(self._handle, answer, 0, -1, self._type, width, _ONE_THREAD, ctypes.addressof(self._fast)))
        self._one = (ctypes.c_double * self.outputs)()
        self._length = ctypes.c_int64()
        # What a call needs is looked up once: a call takes two microseconds, an attribute a tenth of one.
        self._call = (
            self._library.LGBM_BoosterPredictForMatSingleRowFast,
            self._fast.value,
            ctypes.addressof(self._length),
            ctypes.addressof(self._one),
        )

    def predict(self, values: "array[float]", rows: int) -> list[float]:
        """Return `rows` x `outputs` numbers for `rows` x `width` values."""
        address = values.buffer_info()[0]
        if rows == 1:
            function, fast, length, out = self._call
            if function(fast, address, length, out):
                self._check(-1)
            return self._one[:]
        answers = (ctypes.c_double * (rows * self.outputs))()
        shape = (self._type, rows, self._width, _ROW_MAJOR)
        length, out = self._call[2], ctypes.addressof(answers)
        kind = (self._answer, 0, -1, _ONE_THREAD)
        self._check(self._library.LGBM_BoosterPredictForMat(self._handle, address, *shape, *kind, length, out))
        return answers[:]

    def _check(self, code: int) -> None:
        if code:
            raise ModelError(f"LightGBM: {self._library.LGBM_GetLastError().decode(errors='replace')}")

    def __del__(self) -> None:
        if getattr(self, "_fast", None):
            self._library.LGBM_FastConfigFree(self._fast)
        if getattr(self, "_handle", None):
            self._library.LGBM_BoosterFree(self._handle)

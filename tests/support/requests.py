"""What clients ask of the model server."""

from typing import Any


def for_two_rows() -> dict[str, Any]:
    """Return a good request to the built-in model for two rows, as JSON."""
    data = [950.0, 3.0, 5.0, 4.0, 20.0, 12.0, 900.0, 1.0]
    return {"inputs": [{"name": "features", "shape": [2, 4], "datatype": "FP64", "data": data}]}

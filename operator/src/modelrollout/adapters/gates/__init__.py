"""Gates: one file for each kind of check.

An approval needs none: it is a request to the operator, like promote and abort.
"""

from modelrollout.adapters.gates.keeper import GateKeeper

__all__ = ["GateKeeper"]

"""What a ModelRollout takes for a JSON path is what the comparer can read: else its pods would not start."""

import pytest
from pydantic import ValidationError

from modelrollout.api.strategy import Comparer
from modelrollout.comparer.paths import Paths

GOOD = ["id", "$.id", "$.outputs[*].data", '["a key"]', "['x']", "$.a.b[0]", "$.*", "a.b", '["it\'s"]', "a[3]"]
BAD = ["", "a b", "$..x", "[x]", ".a.", "$", "a]", "$.a[-1]"]


@pytest.mark.parametrize("path", GOOD)
def test_taken_by_both(path: str) -> None:
    assert Comparer(paths=[path], ignore=[path], redact=[path]).paths == [path]
    assert Paths([path])


@pytest.mark.parametrize("path", BAD)
def test_refused_by_the_resource(path: str) -> None:
    with pytest.raises(ValidationError):
        Comparer(ignore=[path])


@pytest.mark.parametrize(("field", "value"), [("timeout", "0s"), ("noise", "101%")])
def test_what_the_comparer_would_refuse_is_refused_before(field: str, value: str) -> None:
    with pytest.raises(ValidationError):
        Comparer(**{field: value})

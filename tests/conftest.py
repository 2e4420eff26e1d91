"""What all tests share: properties are tried on the same examples everywhere, unless somebody explores."""

import os

from hypothesis import settings

# A push must not fail on an example that nobody has seen before: the same code has the same outcome. New examples are
# looked for on purpose, with `make explore`; what they find becomes a fix and an @example.
settings.register_profile("same", derandomize=True, print_blob=True)
settings.register_profile("explore", derandomize=False, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

"""What all tests share: properties are tried on the same examples everywhere, unless somebody explores."""

import os

from hypothesis import HealthCheck, settings

# A push must not fail on an example that nobody has seen before: the same code has the same outcome. New examples are
# looked for on purpose, with `make explore`; what they find becomes a fix and an @example.
# Nothing is judged by how long an example takes: the machine may be busy with others.
common = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", common, derandomize=True)
settings.register_profile("explore", common, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

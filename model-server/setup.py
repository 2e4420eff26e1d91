"""The one part that pyproject.toml cannot say: a library that is compiled when there is a compiler."""

from setuptools import Extension, setup

WALK = Extension(
    "model_server.evaluators._walk",
    ["src/model_server/evaluators/walk.c"],
    extra_compile_args=["-O2"],
    optional=True,
)
setup(ext_modules=[WALK])

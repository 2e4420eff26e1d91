"""The one part that pyproject.toml cannot say: a library that is compiled when there is a compiler."""

from setuptools import Extension, setup

NATIVE = Extension(
    "model_server.native._library",
    [f"src/model_server/native/{name}.c" for name in ("walk", "scan", "count")],
    extra_compile_args=["-O2"],
    optional=True,
)
setup(ext_modules=[NATIVE])

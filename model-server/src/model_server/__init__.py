"""A model server that speaks the Open Inference Protocol and counts what a rollout can be judged by."""

__version__ = "0.2.0"

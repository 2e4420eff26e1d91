"""Progressive rollouts of model servers on Kubernetes, decided on evidence."""

__version__ = "0.1.0"

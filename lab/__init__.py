"""A real one-node Kubernetes on one Linux machine, without Docker."""

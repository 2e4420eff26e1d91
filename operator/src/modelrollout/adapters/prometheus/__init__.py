"""Evidence from Prometheus: raw counters of all active rollouts, a few queries a window."""

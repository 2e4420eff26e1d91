"""The shell around `plan`: it observes, acts and remembers; the only place that knows kopf."""

"""The soak: every strategy over every router, with all that happens to rollouts, and clients that count."""

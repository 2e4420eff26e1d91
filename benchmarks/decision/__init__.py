"""The proof of the decisions: simulated traffic through the operator's own evidence code, against stated targets."""

"""The operator's judge over recorded Prometheus data: what would have been decided, and when."""

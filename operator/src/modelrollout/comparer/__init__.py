"""The comparer: asks candidate and stable the same question, off the request path, and counts whether they agree."""

"""The comparer."""

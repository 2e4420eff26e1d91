"""What the comparer does with one core."""

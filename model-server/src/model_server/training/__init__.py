"""Data, training and evaluation: everything before a model is served."""

"""Implementations of the ports, one folder for each kind of system outside."""

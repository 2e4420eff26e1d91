"""Tests of the shell around `plan`."""

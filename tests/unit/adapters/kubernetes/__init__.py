"""Tests of the pure parts of the API server adapter."""

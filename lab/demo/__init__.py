"""The demo: a good version of a model goes to 100 %, a bad one back to 0 %, both by themselves."""

"""The command line: `kubectl modelrollout` and `modelrollout`.

What a person waits for is imported only by the command that needs it, so that `--help` answers at once.
"""

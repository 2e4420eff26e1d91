"""The API server: one connection, what we write to it, and what we remember of what it holds."""

"""The model server as a process, for the clients, stores and tools that others wrote."""

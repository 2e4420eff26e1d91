"""The model server as a process, spoken to by clients that others wrote."""

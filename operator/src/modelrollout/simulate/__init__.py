"""Try before you trust: the operator's own decisions over synthetic traffic and a virtual clock."""

"""Small programs that run inside the peers' own environments."""

"""The pure core: it decides and explains, and never touches a cluster, a clock or a network."""

"""The room that mirrored requests have: so many of them, so many bytes."""


class Room:
    """Places for requests and bytes for their bodies; who does not fit is turned away."""

    def __init__(self, places: int, most_bytes: int) -> None:
        self._free, self._most = places, most_bytes
        self.held = 0
        """Bytes of bodies that are held."""

    def enter(self) -> bool:
        """Take a place, if there is one."""
        if not self._free:
            return False
        self._free -= 1
        return True

    def fits(self, size: int) -> bool:
        """Say whether there is room for so many bytes more."""
        return self.held + size <= self._most

    def hold(self, size: int) -> None:
        """Take room for bytes."""
        self.held += size

    def leave(self, size: int) -> None:
        """Give back a place, and the room for the bytes that were held there."""
        self._free += 1
        self.held -= size

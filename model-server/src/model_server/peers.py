"""The other pods: a label reaches the pod that made its prediction, whichever pod a gateway gave it to."""

import asyncio
import json
import logging
import socket

import msgspec

from model_server.feedback import Label
from model_server.signals.labels import OUTCOMES

FORWARDED = b"x-feedback-forwarded"
SECONDS = 2.0

log = logging.getLogger("model_server")


class Peers:
    """All addresses behind `host:port`, as a headless Service gives them; this pod may be among them."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)

    async def ask(self, labels: list[Label]) -> dict[str, int]:
        """Hand labels to every peer; return what became of them. A peer that does not answer knew none of them."""
        content = msgspec.json.encode(labels)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError as error:
            log.warning("FEEDBACK_PEERS: %s cannot be resolved: %s", self._host, error)
            found = []
        addresses = {str(each[4][0]) for each in found}
        answers = await asyncio.gather(*(self._post(address, content) for address in sorted(addresses)))
        # At most one peer knows a label; to all others it is unknown.
        counts: dict[str, int] = {outcome: sum(answer.get(outcome, 0) for answer in answers) for outcome in OUTCOMES}
        counts["unknown"] = len(labels) - sum(count for outcome, count in counts.items() if outcome != "unknown")
        return counts

    async def _post(self, address: str, content: bytes) -> dict[str, int]:
        head = (
            f"POST /feedback HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\nConnection: close\r\n{FORWARDED.decode()}: 1\r\n\r\n"
        )
        try:
            async with asyncio.timeout(SECONDS):
                reader, writer = await asyncio.open_connection(address, self._port)
                try:
                    writer.write(head.encode() + content)
                    answer = await reader.read()
                finally:
                    writer.close()
        except OSError as error:  # a TimeoutError is one, too
            log.warning("FEEDBACK_PEERS: %s did not answer: %r", address, error)
            return {}
        status, _, rest = answer.partition(b"\r\n")
        if b" 200 " not in status:
            return {}
        counts: dict[str, int] = json.loads(rest.partition(b"\r\n\r\n")[2])
        return counts

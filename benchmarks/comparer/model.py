"""A model server that costs next to nothing: `python -m benchmarks.comparer.model PORT VERSION ROWS DELAY_MS`."""

import asyncio
import json
import sys


def answer(version: str, rows: int) -> bytes:
    """Return the one answer that it gives."""
    data = [round(0.1 + row / 64, 9) for row in range(rows)]
    output = {"name": "p", "datatype": "FP64", "shape": [rows], "data": data}
    body = json.dumps({"model_name": "fraud", "model_version": version, "id": "1", "outputs": [output]}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Model(asyncio.Protocol):
    """Answers every request alike, after a delay."""

    def __init__(self, content: bytes, delay: float) -> None:
        self._content, self._delay, self._read = content, delay, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a connection."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer what is a whole request."""
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            head = self._read[:end].lower()
            _, found, length = head.partition(b"content-length:")
            size = end + 4 + (int(length.split(b"\r\n", 1)[0]) if found else 0)
            if len(self._read) < size:
                return
            self._read = self._read[size:]
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, self._answer)
            else:
                self._answer()

    def _answer(self) -> None:
        if isinstance(self._transport, asyncio.WriteTransport) and not self._transport.is_closing():
            self._transport.write(self._content)


async def main() -> None:
    """Serve until ended."""
    port, version, rows, delay = sys.argv[1:]
    content = answer(version, int(rows))
    server = await asyncio.get_running_loop().create_server(
        lambda: Model(content, float(delay) / 1000), "127.0.0.1", int(port)
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

"""A Prometheus made of scripted answers, on loopback."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

Form = dict[str, str]


@dataclass
class Answer:
    """One HTTP answer."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    """A Content-Length other than the body's."""


@dataclass
class Asked:
    """One request, as it came."""

    path: str
    form: Form
    headers: dict[str, str]


@dataclass
class Fake:
    """What the server will answer and was asked."""

    url: str
    respond: Callable[[Form], Answer]
    asked: list[Asked] = field(default_factory=list)


def matrix(*series: dict[str, Any], **more: Any) -> Answer:
    """Return the answer to a range query."""
    data = {"resultType": "matrix", "result": list(series)}
    return Answer(json.dumps({"status": "success", "data": data, **more}).encode())


class Server(ThreadingHTTPServer):
    """A server that keeps to itself that a client hung up."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing."""


@contextmanager
def prometheus(respond: Callable[[Form], Answer], tls: ssl.SSLContext | None = None) -> Iterator[Fake]:
    """Serve on loopback until the block ends; `tls`: by HTTPS, for localhost."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else a body waits up to 40 ms for the client to acknowledge the headers

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            fake.asked.append(Asked(self.path, form, dict(self.headers)))
            answer = fake.respond(form)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
            self.end_headers()
            self.wfile.write(answer.body)
            if answer.length is not None:
                self.close_connection = True

        do_GET = do_POST  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with Server(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.001})
        thread.start()
        where = "http://127.0.0.1" if tls is None else "https://localhost"
        fake = Fake(f"{where}:{server.server_port}", respond)
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()

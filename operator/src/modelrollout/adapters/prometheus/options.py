"""How to log in to Prometheus, as options of every command that asks one. Light: `--help` must answer at once."""

from pathlib import Path
from typing import Annotated

import typer

TokenFile = Annotated[Path | None, typer.Option(help="Bearer token; read anew for each query, as all files.")]
UsernameFile = Annotated[Path | None, typer.Option(help="User name, for basic authentication.")]
PasswordFile = Annotated[Path | None, typer.Option(help="Its password.")]
CaFile = Annotated[Path | None, typer.Option(help="Who may vouch for Prometheus.")]
CertFile = Annotated[Path | None, typer.Option(help="Client certificate.")]
KeyFile = Annotated[Path | None, typer.Option(help="Key of the client certificate.")]
Insecure = Annotated[bool, typer.Option("--prometheus-insecure", help="Take any certificate.")]
Header = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE|NAME=@FILE",
        help="Send this header too, for instance X-Scope-OrgID=team-a; repeat for more.",
    ),
]

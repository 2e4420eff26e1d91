"""Run the server with the settings of the environment."""

import logging
import os
import sys

from model_server import cli
from model_server.server import run
from model_server.settings import Settings, SettingsError

BAD_SETTINGS = 2

log = logging.getLogger("model_server")


def main() -> None:
    """Serve, or run the command that is named; exit with 2 when a setting cannot be used."""
    if len(sys.argv) > 1 and sys.argv[1] != "serve":
        sys.exit(cli.run(sys.argv[1:]))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        log.error("%s", error)
        sys.exit(BAD_SETTINGS)
    try:
        code = run(settings)
    except OSError as error:
        log.error("PORT=%d: cannot listen there: %s; use another port", settings.port, error)
        sys.exit(BAD_SETTINGS)
    sys.exit(code)


if __name__ == "__main__":
    main()

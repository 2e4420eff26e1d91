"""Texts that must have a form: each pattern, and the words for a text that does not match it."""

from typing import Final

from modelrollout.api.units import DURATION_PATTERN, PERCENT_PATTERN

_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"

DNS_LABEL: Final = f"^{_LABEL}$"
DNS_NAME: Final = rf"^{_LABEL}(\.{_LABEL})*$"
HOST_NAME: Final = rf"^(\*\.)?{_LABEL}(\.{_LABEL})*$"
HTTP_URL: Final = r"^https?://[-A-Za-z0-9.:\[\]]+(/[-A-Za-z0-9._~/]*)?$"
LABEL_NAME: Final = "^[a-zA-Z_][a-zA-Z0-9_]*$"
BEGIN: Final = "^([01][0-9]|2[0-3]):[0-5][0-9]$"
CLOCK: Final = "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"
COOKIE_VALUE: Final = r"^[-!#-+./-:<-\[\]-~]+$"
COOKIE_NAME: Final = "^[-!#$%&'*+.^_`|~0-9A-Za-z]+$"
GATE_URL: Final = r"^https?://[-A-Za-z0-9.:\[\]]+(/[-A-Za-z0-9._~/]*)?(\?[-A-Za-z0-9._~/=&%+]*)?$"
HEADER_NAME: Final = "^[A-Za-z0-9][-A-Za-z0-9_]*$"
SHARE: Final = "^(100|[1-9]?[0-9])%$"
TIME_ZONE: Final = "^[A-Za-z][-+_A-Za-z0-9/]*$"
PATH: Final = "^/[-A-Za-z0-9/._~!$&'()*+,;=:@%]*$"

_KEY: Final = r"[^\s.\[\]*$'\"]+"
_AT: Final = r"""\[([0-9]{1,9}|\*|'[^']+'|"[^"]+")\]"""
_PART: Final = rf"(\.{_KEY}|\.\*|{_AT})"
JSON_PATH: Final = rf"^({_KEY}{_PART}*|\${_PART}+|{_AT}{_PART}*)$"
"""As the comparer reads them. It holds both kinds of quotes, so it cannot stand in a rule of the API server."""

WORDS: Final = {
    DURATION_PATTERN: "must be a duration, for instance 30s, 10m or 1h30m",
    PERCENT_PATTERN: "must be a percentage, for instance 1% or 0.02%",
    DNS_LABEL: "must be a name of a-z, 0-9 and '-', beginning and ending with a letter or digit",
    DNS_NAME: "must be a name of a-z, 0-9, '-' and '.', beginning and ending with a letter or digit",
    HOST_NAME: "must be a host name without scheme, port and path, for instance api.example.com or *.example.com",
    HTTP_URL: "must be a URL without credentials and query, for instance http://prometheus.monitoring:9090",
    LABEL_NAME: "must be the name of a label, for instance segment",
    BEGIN: "must be a time of day from 00:00 to 23:59",
    CLOCK: "must be a time of day, for instance 18:00; 24:00 is the end of the day",
    COOKIE_NAME: "must be the name of a cookie, for instance user",
    GATE_URL: "must be a URL without credentials, for instance https://checks.example.com/model",
    HEADER_NAME: "must be the name of a header, for instance X-Canary",
    SHARE: "must be a share from 0% to 100%",
    TIME_ZONE: "must be the name of a time zone, for instance Europe/Berlin",
    PATH: "must be a path that begins with '/', for instance /v2/models",
}

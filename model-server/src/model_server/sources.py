"""Where models come from: paths, file://, http(s):// and s3://. Nothing is ever sent anywhere."""

import datetime
import hashlib
import hmac
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from model_server.metadata import ModelError

SECONDS = 60
MAX_BYTES = 1 << 30
_EMPTY = hashlib.sha256(b"").hexdigest()


def local(uri: str) -> Path | None:
    """Return the path that a URI means on this machine, or None when it is elsewhere."""
    if uri.startswith("file://"):
        return Path(unquote(urlsplit(uri).path))
    return None if "://" in uri else Path(uri)


def fetch(uri: str) -> bytes:
    """Return the content behind an http(s) or s3 address. Blocks.

    Raises ModelError.
    """
    scheme = urlsplit(uri).scheme
    if scheme not in ("http", "https", "s3"):
        raise ModelError(f"{uri}: use a path, file://, http://, https:// or s3://")
    request = s3_request(uri, os.environ) if scheme == "s3" else urllib.request.Request(uri)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310
            content: bytes = response.read(MAX_BYTES + 1)
    except urllib.error.HTTPError as error:
        error.close()
        raise ModelError(f"{uri}: answered {error.code} {error.reason}") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{uri}: cannot be read: {getattr(error, 'reason', error)}") from None
    if len(content) > MAX_BYTES:
        raise ModelError(f"{uri}: larger than {MAX_BYTES} bytes")
    return content


def s3_request(uri: str, environ: Mapping[str, str], now: datetime.datetime | None = None) -> urllib.request.Request:
    """Return a request for an object, signed (AWS Signature Version 4) when the environment holds keys.

    `AWS_ENDPOINT_URL` names another S3 server, with the bucket in the path.
    """
    bucket, key = urlsplit(uri).netloc, unquote(urlsplit(uri).path).lstrip("/")
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        url = f"{endpoint.rstrip('/')}/{bucket}/{quote(key)}"
    else:
        url = f"https://{bucket}.s3.{region}.amazonaws.com/{quote(key)}"
    headers = {}
    if environ.get("AWS_ACCESS_KEY_ID"):
        headers = _signed(url, region, environ, now or datetime.datetime.now(datetime.UTC))
    return urllib.request.Request(url, headers=headers)  # noqa: S310


def _signed(url: str, region: str, environ: Mapping[str, str], now: datetime.datetime) -> dict[str, str]:
    parts = urlsplit(url)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": parts.netloc, "x-amz-content-sha256": _EMPTY, "x-amz-date": stamp}
    if token := environ.get("AWS_SESSION_TOKEN"):
        headers["x-amz-security-token"] = token
    names = ";".join(sorted(headers))
    lines = [f"{name}:{headers[name]}" for name in sorted(headers)]
    canonical = "\n".join(["GET", parts.path, "", *lines, "", names, _EMPTY])
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{environ.get('AWS_SECRET_ACCESS_KEY', '')}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"{environ['AWS_ACCESS_KEY_ID']}/{scope}"
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    del headers["host"]  # sent by the client itself
    return headers

"""Rules for single values of HTTP and of the Gateway API. Each returns what is wrong, or None."""

from __future__ import annotations

import re
from ipaddress import ip_address

from meshproxy.base.regex import compile_pattern
from meshproxy.loader.rules.values import Problem, quote
from meshproxy.routing.paths import normalize_path

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]{1,256}")
"""RFC 9110 §5.6.2, and the Gateway API's `HeaderName` with its length."""
_VALUE = re.compile(r"[!-~]([\t -~]*[!-~])?")
_PATH = re.compile(r"(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+")
"""The Gateway API's `HTTPPathMatch`: RFC 3986's pchar and slashes."""
_HOSTNAME = re.compile(r"(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_COOKIE_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]*")
"""RFC 6265 §4.1.1, cookie-octet."""
_ORIGIN = re.compile(r"[a-zA-Z][a-zA-Z0-9+\-.]*://([^:/?#]+)(?::([0-9]{1,5}))?")
_NOT_IN_PATHS = ("//", "/./", "/../", "%2f", "%2F", "#", "?")
_NOT_AT_THE_END = ("/..", "/.")

MAX_PATH = 1024
MAX_VALUE = 4096


def token(value: str) -> Problem:
    """The name of a header, a query parameter or a cookie."""
    if _TOKEN.fullmatch(value):
        return None
    return f"{quote(value)} is no name: at most 256 letters, digits and any of !#$%&'*+-.^_`|~"


def header_value(value: str) -> Problem:
    """Visible ASCII with spaces and tabs inside: a line break would begin another header."""
    if len(value) > MAX_VALUE:
        return f"has {len(value)} characters; a value may have {MAX_VALUE} at most"
    if _VALUE.fullmatch(value):
        return None
    if not value:
        return "must not be empty"
    return f"{quote(value)} is no value: visible ASCII characters, with spaces and tabs between them"


def cookie_value(value: str) -> Problem:
    if len(value) > MAX_VALUE:
        return f"has {len(value)} characters; a value may have {MAX_VALUE} at most"
    if _COOKIE_VALUE.fullmatch(value):
        return None
    return f"{quote(value)} is no cookie's value: visible ASCII characters, but none of \" , ; \\"


def query_value(value: str) -> Problem:
    if not 1 <= len(value) <= MAX_PATH:
        return f"must have 1 to {MAX_PATH} characters"
    return None


def regex(value: str) -> Problem:
    try:
        compile_pattern(value)
    except ValueError as error:
        return str(error)
    return None


def path(value: str) -> Problem:
    """A path to compare with, in its normal form (Gateway API `HTTPPathMatch`)."""
    if not value.startswith("/"):
        return f"{quote(value)} must begin with /"
    if len(value) > MAX_PATH:
        return f"has {len(value)} characters; a path may have {MAX_PATH} at most"
    wrong = next((part for part in _NOT_IN_PATHS if part in value), None)
    if wrong is not None:
        return f"{quote(value)} must not contain {wrong}: no request has it in its path"
    wrong = next((end for end in _NOT_AT_THE_END if value.endswith(end)), None)
    if wrong is not None:
        return f"{quote(value)} must not end with {wrong}: no request's path does"
    if not _PATH.fullmatch(value):
        return f"{quote(value)} is no path: letters, digits, any of -._~!$&'()*+,;=:@/ and %XX for the rest"
    compared = normalize_path(value.encode()) or b""
    if compared != value.encode():
        return f"{quote(value)} must be {quote(compared.decode())}, as requests' paths are spelled for comparing"
    return None


def new_path(value: str) -> Problem:
    """A path to be sent in place of another."""
    if not value.startswith("/"):
        return f"{quote(value)} must begin with /"
    if len(value) > MAX_PATH:
        return f"has {len(value)} characters; a path may have {MAX_PATH} at most"
    if not _PATH.fullmatch(value):
        return f"{quote(value)} is no path: letters, digits, any of -._~!$&'()*+,;=:@/ and %XX for the rest"
    return None


def hostname(value: str) -> Problem:
    """A DNS name, or one whose first label is ``*`` (Gateway API `Hostname`)."""
    if len(value) <= 253 and _HOSTNAME.fullmatch(value):
        return _no_address(value)
    if value == "*":
        return "leave the hostname out if you mean any; a wildcard is written *.example.com"
    lower = value.lower().removesuffix(".")
    if len(lower) <= 253 and _HOSTNAME.fullmatch(lower):
        return f"{quote(value)} is no host name; did you mean {lower}?"
    return f"{quote(value)} is no host name: a DNS name in lower case without a port, or *. and one"


def precise_hostname(value: str) -> Problem:
    """A DNS name without a wildcard (Gateway API `PreciseHostname`)."""
    return f"{quote(value)} must not have a wildcard here" if value.startswith("*.") else hostname(value)


def _no_address(value: str) -> Problem:
    try:
        ip_address(value.removeprefix("*."))
    except ValueError:
        return None
    return f"{value} is an IP address; the Gateway API and Ingress take host names only"


def origin(value: str) -> Problem:
    """An origin of CORS: ``*``, or scheme://host and a port; the host may be ``*`` or begin with ``*.``."""
    match = _ORIGIN.fullmatch(value)
    if value == "*":
        return None
    if not match or len(value) > 253:
        return f"{quote(value)} is no origin; write it as https://example.com or https://*.example.com:8443, or *"
    host, port = match[1], match[2]
    if not _HOSTNAME.fullmatch(host.lower()) and host != "*":
        return f"the host {quote(host)} must be a name, which may begin with *., or *"
    if port is not None and not 1 <= int(port) <= 65535:
        return f"{port} is no port; it must be between 1 and 65535"
    return None

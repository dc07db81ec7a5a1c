"""Regular expressions that match in time linear in their input: RE2's, as Envoy and the Gateway API's peers use."""

from __future__ import annotations

from typing import Protocol

MAX_CHARACTERS = 4096
"""The Gateway API's `HTTPHeaderMatch.value` may be that long; of a path or a query parameter, 1024."""
MAX_PROGRAM = 2048
"""Instructions. A byte of input costs a step for each at worst, some 15 µs here: 64 KiB, the largest head there may
be, take less than a second with a pattern made for the purpose. What people write has tens to hundreds."""
MAX_MEMORY = 1 << 20
"""Bytes for the program and its DFA. Beyond, RE2 simulates the NFA: slower, still linear. Its default is 8 MiB."""

_NOT_LINEAR = "backreferences and lookaround are not supported, so that matching takes linear time"
_ADVICE = {
    "invalid perl operator": f"{_NOT_LINEAR} (RE2 syntax)",
    "invalid escape sequence": f"{_NOT_LINEAR} (RE2 syntax; the end of the text is \\z)",
    "bad repetition operator": "possessive and repeated operators are not supported (RE2 syntax)",
    "invalid repetition size": "a repetition may be 1000 at most, nested ones multiplied",
    "no argument for repetition operator": "write \\* for the character itself, or .* for any text",
    "pattern too large": "use fewer and smaller repetitions",
}
"""By how RE2's error text begins."""


class Pattern(Protocol):
    """What a compiled pattern can do. `fullmatch` is not None where all of `text` matches.

    As in Envoy, ``.`` and classes match characters of UTF-8; a byte of none matches ``\\C`` only.
    """

    def fullmatch(self, text: bytes) -> object | None: ...


def compile_pattern(text: str) -> Pattern:
    """Compile RE2 syntax; raises `ValueError` with a sentence for people."""
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"a regular expression may have {MAX_CHARACTERS} characters at most, this has {len(text)}")
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise ValueError("a regular expression must be valid Unicode, without lone surrogates") from None
    import re2  # here, for the sake of workers and commands that need none

    options = re2.Options()
    options.log_errors = False  # to stderr, it would be
    options.never_capture = True
    options.max_mem = MAX_MEMORY
    try:
        pattern = re2.compile(data, options)
    except re2.error as error:
        raise ValueError(_explain(error)) from None
    if pattern.programsize > MAX_PROGRAM:
        advice = _ADVICE["pattern too large"]
        raise ValueError(
            f"the regular expression is too large ({pattern.programsize} steps of {MAX_PROGRAM}); {advice}"
        )
    compiled: Pattern = pattern
    return compiled


def _explain(error: Exception) -> str:
    """What RE2 said, in bytes and quoting the pattern, and what would be right."""
    reason = error.args[0] if error.args else b""
    said = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    advice = next((advice for start, advice in _ADVICE.items() if said.startswith(start)), "")
    message = f"not a regular expression that is supported: {said[:120]}"
    return f"{message}; {advice}" if advice else message

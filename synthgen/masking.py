"""Settings as people should see them: one line per key, and never a secret."""

from __future__ import annotations

import re
from typing import Any

MASK = "•••"
_SECRET = re.compile(
    r"(^|[_\-.\s])(api_?key|key|token|password|passwd|passphrase|secret|credential|auth)s?"
    r"($|[_\-.\s])",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_USER_IN_URL = re.compile(r"(?<=://)[^/\s@]+@")


def masked(value: Any, key: str = "") -> Any:
    """A copy in which values under names like ``api_key``, ``token`` or ``password`` are hidden,
    and so is the user part of an address (``https://name:word@host``)."""
    if looks_secret(key) and value is not None and not isinstance(value, bool):
        return MASK
    if isinstance(value, dict):
        return {str(name): masked(item, str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    if isinstance(value, str):
        return _USER_IN_URL.sub(f"{MASK}@", value)
    return value


def looks_secret(key: str) -> bool:
    """Whether a key's name says that its value is nobody's business."""
    return bool(_SECRET.search(_CAMEL.sub("_", key)))


def flatten(value: Any, prefix: str = "") -> dict[str, object]:
    """Nested dicts -> ``{"a.b.c": leaf}``; lists and empty dicts are leaves."""
    if not isinstance(value, dict) or not value:
        return {prefix: value} if prefix else {}
    flat: dict[str, object] = {}
    for key, item in value.items():
        flat.update(flatten(item, f"{prefix}.{key}" if prefix else str(key)))
    return flat

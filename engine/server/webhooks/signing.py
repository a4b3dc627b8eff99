"""Signatures of webhooks, in the form of the Standard Webhooks specification (github.com/standard-webhooks/standard-webhooks).

`webhook-signature` is `v1,` and the base64 of the HMAC-SHA256 of `ID.TIMESTAMP.BODY`; the secret is `whsec_` and base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

PREFIX: Final = "whsec_"
KEY_BYTES: Final = range(24, 65)
"""How long a secret may be."""


def key_of(secret: str) -> bytes:
    """The bytes of a secret. Raises ValueError, which does not repeat it, for what is none."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or len(key) not in KEY_BYTES:
        raise ValueError(
            f"webhooks.secret: expected {PREFIX} and the base64 of {KEY_BYTES.start} to {KEY_BYTES.stop - 1} bytes, such as "
            "python -c 'import base64, os; print(\"whsec_\" + base64.b64encode(os.urandom(32)).decode())' makes"
        )
    return key


def signed_headers(key: bytes, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of a message."""
    digest = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }

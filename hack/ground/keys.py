"""A private key for service-account tokens, without OpenSSL: an elliptic-curve key is a random number and a wrapper.

The wrapper is SEC 1's ECPrivateKey (RFC 5915) for P-256; the public half is optional there and Go computes it itself.
"""

import base64
import secrets

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P256_NAME = bytes.fromhex("06082a8648ce3d030107")


def service_account_key_pem() -> str:
    """A fresh P-256 private key as PEM; the API server signs and checks service-account tokens with it."""
    number = secrets.randbelow(_P256_ORDER - 1) + 1
    body = b"\x02\x01\x01" + _tagged(0x04, number.to_bytes(32, "big")) + _tagged(0xA0, _P256_NAME)
    text = base64.b64encode(_tagged(0x30, body)).decode()
    lines = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    return f"-----BEGIN EC PRIVATE KEY-----\n{lines}\n-----END EC PRIVATE KEY-----\n"


def _tagged(tag: int, content: bytes) -> bytes:
    return bytes((tag, len(content))) + content  # every length here is below 128

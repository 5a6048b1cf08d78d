"""The simulator's verification of requests: window, signature, and whether the agent is bound.

Base58 and the signed text are made with code of its own: a mistake of the connector's must not
cancel out. Ed25519 itself is the same library, which is nobody's own.
"""

from __future__ import annotations

import secrets
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from venues.pacifica.simulator_bodies import MAIN_KEY_ONLY, Request
from venues.simulation.records import Agent

_LETTERS: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
#: How far a timestamp may lie ahead. Nobody has verified how far the venue lets it.
_AHEAD_MAX_MS: Final = 1_000


class NotVerified(Exception):
    """The request is not let through (HTTP 400).

    `error_id` None: the answer is bare text, as was recorded for some.
    """

    def __init__(self, text: str, error_id: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.error_id = error_id


def verify(request: Request, now_ms: int, agents: dict[str, Agent]) -> None:
    """Check window, signature and agent, in this order. Raises `NotVerified`."""
    envelope = request.envelope
    age_ms = now_ms - envelope.timestamp
    if age_ms > envelope.window_ms or age_ms < -_AHEAD_MAX_MS:
        raise NotVerified("Invalid message", "invalid_message")
    is_main = envelope.agent_wallet in (None, envelope.account)
    signer = envelope.account
    if request.kind in MAIN_KEY_ONLY:
        # There the agent's address is data; the signer can only be the main key.
        is_main = True
    elif envelope.agent_wallet is not None:
        signer = envelope.agent_wallet
    try:
        key = Ed25519PublicKey.from_public_bytes(_spelled(signer, 32))
    except ValueError:
        raise NotVerified("Invalid public key", "invalid_public_key") from None
    try:
        signature = _spelled(envelope.signature, 64)
    except ValueError:
        raise NotVerified("Invalid signature", "invalid_signature") from None
    try:
        key.verify(signature, request.signed_text())
    except InvalidSignature:
        raise NotVerified(
            "Verification failed: signature does not match signer and canonical payload.",
            "signature_verification_failed",
        ) from None
    if not is_main:
        agent = agents.get(signer)
        if agent is None or agent.revoked or agent.account != envelope.account:
            raise NotVerified("Agent not authorized for account", "agent_not_authorized")


def fresh_key() -> tuple[str, str]:
    """Make a key; return its address and the private key as the venue hands it out."""
    seed = secrets.token_bytes(32)
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return spell(public), spell(seed + public)


def spell(data: bytes) -> str:
    """Spell bytes in base58."""
    number, text = int.from_bytes(data, "big"), ""
    while number:
        text = _LETTERS[number % 58] + text
        number //= 58
    leading = next((index for index, byte in enumerate(data) if byte), len(data))
    return "1" * leading + text


def _spelled(text: str, length: int) -> bytes:
    """Return the bytes that base58 spells. Raises `ValueError`."""
    number = 0
    for letter in text[: 2 * length]:
        number = number * 58 + _LETTERS.index(letter)
    data = number.to_bytes(length, "big") if number < 256**length else b""
    if not data or spell(data) != text:
        raise ValueError("not base58 of that length")
    return data

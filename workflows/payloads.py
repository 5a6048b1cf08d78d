"""What Temporal stores is ciphertext: the data converter, its codec, and the operator's decoder.

Every payload is bound to the namespace and workflow it was written for, so that one cannot be cut
out of one workflow and pasted into another. What is foreign, unencrypted or of an unknown key
becomes an undecodable payload, which the SDK drops; it never stalls an order. Knows no key file.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf import json_format
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter
from temporalio.converter import (
    ActivitySerializationContext,
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverter,
    DefaultPayloadConverter,
    JSONPlainPayloadConverter,
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)

ENCODING = b"binary/encrypted+perp-dex"
UNDECODABLE = b"binary/undecodable"
_NONCE_BYTES = 12
_COMPRESS_ABOVE_BYTES = 256
_PLAIN, _DEFLATED = b"\x00", b"\x01"
_LARGEST_PAYLOAD_BYTES = 4 * 1024 * 1024
_PLACES_KEPT = 1024


class Ring(Protocol):
    """Payload keys by key id; new payloads take `current`, old ones stay readable."""

    @property
    def current(self) -> str:
        """The id of the key of new payloads."""
        ...

    @property
    def keys(self) -> Mapping[str, bytes]:
        """Every key, 32 bytes each."""
        ...


class KeySource(Protocol):
    """Payload keys that may change while this process runs."""

    def ring(self) -> Ring:
        """Return the keys as they are known now."""
        ...

    async def lacking(self, key_id: str) -> Ring:
        """Return the keys after looking for one that is not among those known."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class PayloadKeys:
    """The ring of payload keys: new payloads take `current`, old ones stay readable."""

    current: str
    keys: Mapping[str, bytes]

    def __post_init__(self) -> None:
        if self.current not in self.keys:
            raise ValueError(f"the key ring lacks its current key {self.current!r}")
        for key_id, key in self.keys.items():
            if len(key) != 32:
                raise ValueError(f"payload key {key_id!r} has {len(key)} bytes, expected 32")

    def ring(self) -> PayloadKeys:
        """Return these keys: they never change."""
        return self

    async def lacking(self, key_id: str) -> PayloadKeys:
        """Return these keys: there are no others."""
        return self


@dataclass(frozen=True, slots=True)
class Place:
    """Where a payload belongs."""

    namespace: str
    workflow_id: str


class EncryptingCodec(PayloadCodec, WithSerializationContext):
    """AES-256-GCM with the payload's key id and place as associated data.

    `refused` is told why a payload could not be decoded, once for each.
    """

    def __init__(
        self,
        keys: KeySource,
        *,
        place: Place | None = None,
        refused: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._keys = keys
        self._ciphers: dict[bytes, AESGCM] = {}
        self._place = place
        self._refused = refused

    def with_context(self, context: SerializationContext) -> EncryptingCodec:
        """Return this codec bound to the workflow of `context`."""
        place = _place_of(context)
        if place is None:
            return self
        bound = object.__new__(EncryptingCodec)
        bound._keys, bound._ciphers = self._keys, self._ciphers
        bound._refused = self._refused
        bound._place = place
        return bound

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Return the payloads encrypted."""
        return [self._encrypt(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Return the payloads decrypted; those that cannot be are undecodable, never an error."""
        return [await self._decrypt(payload) for payload in payloads]

    def _encrypt(self, payload: Payload) -> Payload:
        place = self._place or Place("", "")
        ring = self._keys.ring()
        metadata = {
            "encoding": ENCODING,
            "key-id": ring.current.encode(),
            "namespace": place.namespace.encode(),
            "workflow-id": place.workflow_id.encode(),
        }
        plain = payload.SerializeToString()
        if len(plain) > _COMPRESS_ABOVE_BYTES:
            body = _DEFLATED + zlib.compress(plain, 1)
        else:
            body = _PLAIN + plain
        nonce = os.urandom(_NONCE_BYTES)
        cipher = self._cipher(ring.keys[ring.current])
        return Payload(
            metadata=metadata, data=nonce + cipher.encrypt(nonce, body, _associated(metadata))
        )

    async def _decrypt(self, payload: Payload) -> Payload:
        metadata = dict(payload.metadata)
        if metadata.get("encoding") != ENCODING:
            return self._undecodable("a payload is not encrypted by this system")
        place = self._place
        named = Place(
            metadata.get("namespace", b"").decode("utf-8", "replace"),
            metadata.get("workflow-id", b"").decode("utf-8", "replace"),
        )
        if place is not None and named != place:
            return self._undecodable(f"a payload of {named.workflow_id!r} is out of its place")
        key_id = metadata.get("key-id", b"").decode("utf-8", "replace")
        key = self._keys.ring().keys.get(key_id)
        if key is None:
            # Another process may have made it current a moment ago.
            key = (await self._keys.lacking(key_id)).keys.get(key_id)
        if key is None:
            return self._undecodable(f"payload key {key_id!r} is not in the ring")
        cipher = self._cipher(key)
        nonce, body = payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:]
        try:
            plain = cipher.decrypt(nonce, body, _associated(metadata))
            if plain[:1] == _DEFLATED:
                inflated = zlib.decompressobj().decompress(plain[1:], _LARGEST_PAYLOAD_BYTES)
            else:
                inflated = plain[1:]
            return Payload.FromString(inflated)
        except (InvalidTag, ValueError, zlib.error):
            return self._undecodable("a payload fails its authentication")

    def _cipher(self, key: bytes) -> AESGCM:
        cipher = self._ciphers.get(key)
        if cipher is None:
            cipher = self._ciphers[key] = AESGCM(key)
        return cipher

    def _undecodable(self, reason: str) -> Payload:
        self._refused(reason)
        return Payload(metadata={"encoding": UNDECODABLE}, data=b"")


def _in_words(reason: str) -> Payload:
    text = json.dumps(f"cannot be opened: {reason}").encode()
    return Payload(metadata={"encoding": b"json/plain"}, data=text)


def _associated(metadata: Mapping[str, bytes]) -> bytes:
    parts = (metadata.get(name, b"") for name in ("key-id", "namespace", "workflow-id"))
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def data_converter(
    keys: KeySource, *, refused: Callable[[str], None] = lambda reason: None
) -> DataConverter:
    """Return the converter every process of ours uses: exact decimals, encrypted, failures too."""
    return _PlacedConverter(
        payload_converter_class=_ExactPayloads,
        payload_codec=EncryptingCodec(keys, refused=refused),
        failure_converter_class=_EncodedFailures,
    )


@dataclass(frozen=True)
class _PlacedConverter(DataConverter):
    """A data converter that is made once for each workflow.

    The SDK asks for one some thirty times in an order's life, and each would be built anew; of all
    that a context says ours depends on the workflow alone.
    """

    _placed: dict[Place, _PlacedConverter] = field(default_factory=dict, repr=False, compare=False)

    def with_context(self, context: SerializationContext) -> Self:
        """Return the converter bound to the workflow of `context`."""
        place = _place_of(context)
        if place is None:
            return super().with_context(context)
        known = self._placed.get(place)
        if known is None:
            known = super().with_context(context)
            if len(self._placed) >= _PLACES_KEPT:
                # Rare and cheap: the few that are in use are made once more.
                self._placed.clear()
            self._placed[place] = known
        return known  # type: ignore[return-value]


def _place_of(context: SerializationContext) -> Place | None:
    if not isinstance(context, WorkflowSerializationContext | ActivitySerializationContext):
        return None
    return Place(context.namespace, context.workflow_id or "")


_JSON = PydanticJSONPlainPayloadConverter()
"""One for all: the SDK makes a converter for each workflow, and each would learn our types anew."""


class _ExactPayloads(CompositePayloadConverter):
    """Pydantic's JSON, in which decimals and times are exact, with the types learned once."""

    def __init__(self) -> None:
        super().__init__(
            *(
                _JSON if isinstance(converter, JSONPlainPayloadConverter) else converter
                for converter in DefaultPayloadConverter.default_encoding_payload_converters
            )
        )


class _EncodedFailures(DefaultFailureConverter):
    """Failure messages and stack traces are payloads too, and encrypted as such."""

    def __init__(self) -> None:
        super().__init__(encode_common_attributes=True)


@dataclass(frozen=True, slots=True)
class CodecService:
    """The codec protocol of the Temporal web UI: JSON `Payloads` in, JSON `Payloads` out."""

    keys: KeySource

    async def decode(self, body: bytes) -> dict[str, Any]:
        """Return the payloads decrypted, wherever they belong.

        Whoever reads them is shown what is not ours as it is, and what cannot be opened as the
        reason why.

        Raises:
            ValueError: `body` is no JSON `Payloads` message.
        """
        return await self._through(body, self._shown)

    async def _shown(self, payloads: Sequence[Payload]) -> list[Payload]:
        shown = []
        for payload in payloads:
            if payload.metadata.get("encoding") != ENCODING:
                shown.append(payload)
                continue
            reasons: list[str] = []
            [opened] = await EncryptingCodec(self.keys, refused=reasons.append).decode([payload])
            shown.append(_in_words(reasons[0]) if reasons else opened)
        return shown

    async def encode(self, body: bytes, *, namespace: str, workflow_id: str) -> dict[str, Any]:
        """Return the payloads encrypted for one workflow.

        Raises:
            ValueError: `body` is no JSON `Payloads` message.
        """
        codec = EncryptingCodec(self.keys, place=Place(namespace, workflow_id))
        return await self._through(body, codec.encode)

    async def _through(self, body: bytes, code: Any) -> dict[str, Any]:
        try:
            message = json_format.Parse(body, Payloads())
        except json_format.ParseError as error:
            raise ValueError(f"expected a JSON Payloads message: {error}") from None
        coded = Payloads(payloads=await code(list(message.payloads)))
        result: dict[str, Any] = json_format.MessageToDict(coded)
        return result

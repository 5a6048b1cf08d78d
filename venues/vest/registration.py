"""`python -m venues.vest.registration ADDRESS`: make a signing key and have it approved.

An operator's act, for it takes the account's own (primary) key, which this system never keeps: the
key is read from standard input, used for one signature and forgotten. Prints the credential that
`perp-dex account add --dex vest` takes; nothing else prints a signing key.

Source: the official v2 API page, POST /register.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from coincurve import PrivateKey
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from domain.accounts import Network
from domain.errors import InvalidInput, PerpDexError, VenueRefused, VenueUnavailable
from venues.transport import Reply, Transport
from venues.vest import wire
from venues.vest.settings import VestSettings
from venues.vest.signing import address_of, key_of, sign_digest

_DAY_MS: Final = 86_400_000
_DAYS_MAX: Final = 30
_TIMEOUT_S: Final = 10.0
_REPLY_MAX: Final = 1 << 20
_DOMAIN_TYPE: Final = keccak(
    text="EIP712Domain(string name,string version,address verifyingContract)"
)
_PROOF_TYPE: Final = keccak(text="SignerProof(address approvedSigner,uint256 signerExpiry)")
_NAME: Final = keccak(text="VestRouterV2")
_VERSION: Final = keccak(text="0.0.1")


@dataclass(frozen=True, slots=True)
class Deployment:
    """The router that verifies a registration, and its number in the request."""

    contract: str
    network_type: int


DEPLOYMENTS: Final[Mapping[Network, Deployment]] = {
    Network.MAINNET: Deployment("0x919386306C47b2Fe1036e3B4F7C40D22D2461a23", 0),
    # The number is from one client's script; nobody has verified it.
    Network.TESTNET: Deployment("0x8E4D87AEf4AC4D5415C35A12319013e34223825B", 1),
    Network.PAPER: Deployment("0x919386306C47b2Fe1036e3B4F7C40D22D2461a23", 0),
}


def registration_digest(contract: str, signing_address: str, expiry_ms: int) -> bytes:
    """Return what the primary key signs: typed data whose domain has no chain and no salt."""
    separator = keccak(
        encode(
            ["bytes32", "bytes32", "bytes32", "address"], [_DOMAIN_TYPE, _NAME, _VERSION, contract]
        )
    )
    struct = keccak(
        encode(["bytes32", "address", "uint256"], [_PROOF_TYPE, signing_address, expiry_ms])
    )
    return keccak(b"\x19\x01" + separator + struct)


def registration_body(
    deployment: Deployment, primary: PrivateKey, signing_address: str, expiry_ms: int
) -> dict[str, Any]:
    """Return the body of `POST /register`."""
    digest = registration_digest(deployment.contract, signing_address, expiry_ms)
    return {
        "signingAddr": signing_address.lower(),
        "primaryAddr": address_of(primary),
        "signature": sign_digest(primary, digest),
        "expiryTime": expiry_ms,
        "networkType": deployment.network_type,
    }


async def register(
    base_url: str, network: Network, primary: PrivateKey, signing: PrivateKey, expiry_ms: int
) -> str:
    """Register a signing key and return the credential as text.

    Raises:
        VenueUnavailable, VenueRefused: the venue did not, or does not say.
    """
    body = registration_body(DEPLOYMENTS[network], primary, address_of(signing), expiry_ms)
    transport = Transport(base_url, headers={wire.ROUTING_HEADER: wire.routing(0)})
    await transport.start()
    try:
        result = await transport.post(
            wire.PREFIX + "/register",
            msgspec.json.encode(body),
            timeout_s=_TIMEOUT_S,
            reply_size_max=_REPLY_MAX,
        )
    finally:
        await transport.close()
    if not isinstance(result, Reply):
        raise VenueUnavailable(f"vest did not answer /register: {result.reason}")
    failed = wire.failure_in(result.body)
    if failed is not None or result.status != 200:
        said = failed.text if failed is not None else ""
        raise VenueRefused(f"vest answered /register with HTTP {result.status}: {said}")
    try:
        made = wire.decode(result.body, wire.Registered)
    except wire.WireError as error:
        raise VenueUnavailable(f"vest's /register cannot be read: {error}") from None
    fields = {
        "signingKey": "0x" + signing.secret.hex(),
        "apiKey": made.api_key,
        "accGroup": made.acc_group,
        "expiryTime": expiry_ms,
    }
    return json.dumps(fields, separators=(",", ":"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Register and print the credential; 0 when it was made, 1 when not."""
    parser = argparse.ArgumentParser(
        prog="python -m venues.vest.registration",
        description="Make a signing key for an account of Vest. Reads the account's own (primary) "
        "key from standard input, and prints the credential to add the account with.",
    )
    parser.add_argument("address", help="the account's address, to be sure of the key")
    networks = [network.value for network in DEPLOYMENTS]
    parser.add_argument("--network", choices=networks, default=Network.MAINNET.value)
    parser.add_argument("--days", type=int, default=7, help="how long it is to be valid, 1 to 30")
    options = parser.parse_args(arguments)
    try:
        text = asyncio.run(_register(options.address, Network(options.network), options.days))
    except PerpDexError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(text + "\n")
    return 0


async def _register(address: str, network: Network, days: int) -> str:
    if not 1 <= days <= _DAYS_MAX:
        raise InvalidInput("days", f"expected 1 to {_DAYS_MAX}, found {days}")
    primary = key_of(_read_key())
    if address_of(primary) != address.lower():
        raise InvalidInput(
            "address", f"expected the key of {address[:64]}, found that of {address_of(primary)}"
        )
    expiry_ms = int(time.time() * 1000) + days * _DAY_MS
    signing = PrivateKey(secrets.token_bytes(32))
    return await register(VestSettings().base_url(network), network, primary, signing, expiry_ms)


def _read_key() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("primary key (not shown, not kept): ")
    return sys.stdin.readline().strip()


if __name__ == "__main__":
    sys.exit(main())

"""The settings of where keys are kept, for every process that reads a key file.

Each secret among them is the path of a file: no value of a key, token or PIN is ever a setting.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from process.settings import ProcessSettings


class KeySettings(ProcessSettings):
    """Where the key-encryption keys live; fits `sealing.choosing.KeeperOptions`."""

    key_keeper: Literal["auto", "keyring", "file", "vault", "pkcs11"] = Field(
        "auto",
        validation_alias="PERP_DEX_KEY_KEEPER",
        description="Who keeps the keys of key files: the system keyring, a protected file, Vault "
        "or a PKCS#11 token; auto: the keyring if there is one that encrypts, else the file.",
    )
    key_passphrase_file: Path | None = Field(
        None,
        validation_alias="PERP_DEX_KEY_PASSPHRASE_FILE",
        description="File with the passphrase of the key files; unset: machine keys.",
    )
    private_key_passphrase_file: Path | None = Field(
        None,
        validation_alias="PERP_DEX_PRIVATE_KEY_PASSPHRASE_FILE",
        description="File with another passphrase for the private keys that open credentials; do "
        "not give it to the API.",
    )
    vault_address: str | None = Field(
        None, validation_alias="PERP_DEX_VAULT_ADDRESS", description="Vault's https address."
    )
    vault_token_file: Path | None = Field(
        None,
        validation_alias="PERP_DEX_VAULT_TOKEN_FILE",
        description="File with Vault's token, read for each request.",
    )
    vault_mount: str = Field(
        "transit",
        validation_alias="PERP_DEX_VAULT_MOUNT",
        description="Where Vault's transit engine is mounted.",
    )
    vault_key_prefix: str = Field(
        "perp-dex",
        validation_alias="PERP_DEX_VAULT_KEY_PREFIX",
        description="Beginning of the names of Vault's keys: PREFIX-payload, PREFIX-worker, "
        "PREFIX-streaming.",
    )
    vault_namespace: str | None = Field(
        None, validation_alias="PERP_DEX_VAULT_NAMESPACE", description="Vault's namespace."
    )
    vault_ca_file: Path | None = Field(
        None,
        validation_alias="PERP_DEX_VAULT_CA_FILE",
        description="Certificate authority of Vault, where it is no public one.",
    )
    pkcs11_library: Path | None = Field(
        None,
        validation_alias="PERP_DEX_PKCS11_LIBRARY",
        description="The PKCS#11 library of the token (.so).",
    )
    pkcs11_token: str | None = Field(
        None, validation_alias="PERP_DEX_PKCS11_TOKEN", description="The token's label."
    )
    pkcs11_pin_file: Path | None = Field(
        None,
        validation_alias="PERP_DEX_PKCS11_PIN_FILE",
        description="File with the token's user PIN.",
    )


class PrivateKeySettings(KeySettings):
    """Those of processes that open sealed credentials, too."""

    key_grace_s: float = Field(
        3600.0,
        ge=0,
        validation_alias="PERP_DEX_KEY_GRACE_S",
        description="How long a former key that opens credentials is kept at least.",
    )

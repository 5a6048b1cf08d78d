"""The streaming process's settings, from its environment. Read by `streaming.main` only."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from process.key_settings import PrivateKeySettings
from streaming.handshake import LOOPBACK_HOSTS
from streaming.protocol import Limits


class StreamingSettings(PrivateKeySettings):
    """Settings of the streaming process (`python -m streaming.main`)."""

    perp_dex_home: Path = Field(Path("~/.perp-dex"), description="Where all state is kept.")
    database_url: str = Field(
        "", repr=False, description="SQL database; empty: SQLite in PERP_DEX_HOME."
    )
    temporal_address: str = Field("127.0.0.1:7233", description="Temporal's host and port.")
    temporal_namespace: str = Field("default", description="Temporal's namespace.")
    redis_url: str = Field(
        "redis://127.0.0.1:6390/0",
        repr=False,
        description="Valkey or Redis; rediss:// for TLS, user and password in it.",
    )
    redis_ca_file: Path | None = Field(
        None,
        description="PEM file with what signed the certificate of a rediss:// REDIS_URL; unset: "
        "this machine's authorities.",
    )
    streaming_host: str = Field("127.0.0.1", description="Address the WebSockets listen on.")
    streaming_port: int = Field(
        8701, ge=0, le=65_535, description="Port of the WebSockets; 0: any free one."
    )
    streaming_allowed_hosts: str = Field(
        "",
        description="Further Host names the WebSockets answer to, comma-separated, without port.",
    )
    allowed_origins: str = Field(
        "",
        description="Origins of web pages that may use the API and the WebSockets, "
        "comma-separated, such as https://desk.example; the pages need a token like anybody.",
    )
    streaming_sessions_max: int = Field(
        12_000, ge=1, description="Connections that are taken at once; further ones get 503."
    )
    streaming_sessions_per_principal_max: int = Field(
        50, ge=1, description="Connections of one principal; further ones are closed with 4029."
    )
    metrics_host: str = Field(
        "127.0.0.1", description="Address that answers Prometheus at /metrics, to anybody."
    )
    metrics_port: int = Field(
        8704,
        ge=0,
        le=65_535,
        description="Port of /metrics, 0: any free one; of one that is taken another is used.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        "INFO", description="Least severe log line that is kept."
    )
    log_format: Literal["json", "console"] = Field("json", description="Form of log lines.")

    @property
    def limits(self) -> Limits:
        """What clients may use."""
        return Limits(
            sessions_max=self.streaming_sessions_max,
            sessions_per_principal_max=self.streaming_sessions_per_principal_max,
        )

    @property
    def hosts(self) -> frozenset[str]:
        """The Host header values that name this server, without port."""
        return LOOPBACK_HOSTS | {self.streaming_host.lower()} | _names(self.streaming_allowed_hosts)

    @property
    def origins(self) -> frozenset[str]:
        """The origins whose web pages may connect."""
        return _names(self.allowed_origins)


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in text.split(",") if name.strip())

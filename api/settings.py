"""The settings of the API process. Read by `api.main`, documented by the settings page."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from process.key_settings import KeySettings


class ApiSettings(KeySettings):
    """Settings of the API process."""

    perp_dex_home: Path = Field(Path("~/.perp-dex"), description="Where all state is kept.")
    database_url: str = Field("", description="SQL database; empty: SQLite in PERP_DEX_HOME.")
    temporal_address: str = Field("127.0.0.1:7233", description="Temporal's host and port.")
    temporal_namespace: str = Field("default", description="Temporal's namespace.")
    temporal_ui_url: str | None = Field(
        None,
        pattern=r"^https?://[^/?#\s]+$",
        description="Origin of Temporal's web UI. Unless it is served here (TEMPORAL_UI_UPSTREAM), "
        "it may call the codec from a browser.",
    )
    temporal_ui_upstream: str | None = Field(
        None,
        pattern=r"^https?://[^/?#\s]+$",
        description="Origin of a Temporal web UI with the public path /temporal and the codec "
        "endpoint /api/v1/codec; this API serves it to operators, decoded, under /temporal.",
    )
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
    api_host: str = Field("127.0.0.1", description="Address the API listens on.")
    api_port: int = Field(8700, ge=0, le=65_535, description="Port of the API; 0: any free one.")
    api_url: str | None = Field(
        None,
        pattern=r"^https?://[^/?#\s]+$",
        description="How clients reach the API, where it is not http://API_HOST:API_PORT.",
    )
    api_allowed_hosts: str = Field(
        "", description="Further Host names the API answers to, comma-separated, without port."
    )
    allowed_origins: str = Field(
        "",
        description="Origins of web pages that may use the API and the WebSockets, "
        "comma-separated, such as https://desk.example; the pages need a token like anybody.",
    )
    streaming_host: str = Field("127.0.0.1", description="Address the WebSockets listen on.")
    streaming_port: int = Field(8701, ge=0, le=65_535, description="Port of the WebSockets.")
    streaming_url: str | None = Field(
        None,
        pattern=r"^wss?://[^?#\s]+$",
        description="How clients reach the WebSockets, where it is not "
        "ws://STREAMING_HOST:STREAMING_PORT, such as wss://desk.example behind a proxy.",
    )
    hyperliquid_paper_url: str | None = Field(None, description="The simulated exchange.")
    api_venues: str = Field(
        "hyperliquid,lighter,pacifica,extended,edgex,vest",
        description="Venues offered, comma-separated.",
    )
    metrics_host: str = Field(
        "127.0.0.1", description="Address that answers Prometheus at /metrics, to anybody."
    )
    metrics_port: int = Field(
        8702,
        ge=0,
        le=65_535,
        description="Port of /metrics, 0: any free one; of one that is taken another is used.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        "INFO", description="Least severe log line that is kept."
    )
    log_format: Literal["json", "console"] = Field("json", description="Form of log lines.")

    @property
    def venues(self) -> tuple[str, ...]:
        """The venues offered."""
        return tuple(name.strip() for name in self.api_venues.split(",") if name.strip())

    @property
    def page_origins(self) -> frozenset[str]:
        """The origins whose web pages may use the API."""
        given = (origin.strip().lower() for origin in self.allowed_origins.split(","))
        return frozenset(origin for origin in given if origin)

    @property
    def hosts(self) -> frozenset[str]:
        """The Host header values that name this server, without port."""
        given = (name.strip().lower() for name in self.api_allowed_hosts.split(","))
        own = f"[{self.api_host}]" if ":" in self.api_host else self.api_host
        return frozenset({"127.0.0.1", "localhost", "[::1]", own.lower(), *given} - {""})

"""The simulator's control port: the one thing the command line talks to beside the API.

Only ever local and only ever paper: it is no part of the API, so that it can witness against it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import typer

from cli.connection import StackNotRunning

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMEOUT_S: Final = 10.0


class SimulatorRefuses(Exception):
    """The simulator cannot do what was asked now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperAccount:
    """A funded account at a simulator; `private_key` is the key that trades for it."""

    endpoint: str
    address: str
    private_key: str
    document: dict[str, Any]

    def __repr__(self) -> str:
        return f"PaperAccount(address={self.address!r})"


def control_url(venue: str) -> str:
    """Return the address of the control port of a venue's simulator.

    Raises:
        StackNotRunning: no stack runs and PERP_DEX_SIM_CONTROL_URL names none.
        BadParameter: the running stack simulates other venues.
    """
    named = os.environ.get("PERP_DEX_SIM_CONTROL_URL")
    if named:
        return named.rstrip("/")
    from stack import lifecycle

    status = lifecycle.status()
    urls = status.sim_control_urls
    if not urls:
        raise StackNotRunning(
            f"no simulator runs in {status.home}; start the stack with `perp-dex up --detach`"
        )
    if venue not in urls:
        raise typer.BadParameter(f"VENUE: expected one of {', '.join(urls)}; found {venue!r}")
    return urls[venue].rstrip("/")


def control(
    venue: str,
    method: str,
    path: str,
    *,
    body: Mapping[str, Any] | None = None,
    query: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Make one request to the simulator of `venue` and return its answer.

    Raises:
        SimulatorRefuses: it makes no sense there now.
        StackNotRunning: nothing answers.
    """
    import httpx2

    url = control_url(venue)
    try:
        with httpx2.Client(
            base_url=url,
            timeout=_TIMEOUT_S,
            trust_env=False,
            # As for the API: plain HTTP needs no trusted roots, which take 50 ms to read.
            verify=url.startswith("https:"),
        ) as http:
            found = http.get("/healthz").json()["venue"]
            if found != venue:
                raise typer.BadParameter(f"VENUE: expected {found!r}, which is simulated here")
            response = http.request(method, path, json=body, params=query)
            answer = response.json()
    except httpx2.TransportError as error:
        raise StackNotRunning(
            f"the simulator at {url} does not answer ({type(error).__name__}); see "
            "`perp-dex status`"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise StackNotRunning(f"what answers at {url} is no simulator of ours") from None
    if response.status_code == 400:
        raise typer.BadParameter(str(answer.get("error")))
    if response.status_code >= 400:
        raise SimulatorRefuses(str(answer.get("error", response.status_code)))
    return dict(answer)


def new_account(venue: str, *, balance: str | None = None, name: str = "") -> PaperAccount:
    """Make a funded account at the simulator of `venue`."""
    body = {"name": name, **({"balance": balance} if balance is not None else {})}
    made = control(venue, "POST", "/accounts", body=body)
    return PaperAccount(
        endpoint=str(made["endpoint"]),
        address=str(made["address"]),
        private_key=str(made["private_key"]),
        document=made,
    )

"""The bodies that halt and resume trading. Shape only; what is named is looked up later."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from api.bodies import Body, PrintableText
from api.fields import Flag, refused
from domain.halts import HaltLevel


class ScopeBody(Body):
    """What a halt covers: `all`, a `venue` with its name, or an `account` by label or id."""

    scope: HaltLevel = Field(description="all, venue or account")
    venue: PrintableText | None = None
    account: PrintableText | None = None
    reason: PrintableText = Field(description="Why; kept for ever.")

    @model_validator(mode="after")
    def _names_its_scope(self) -> Self:
        named = {HaltLevel.VENUE: self.venue, HaltLevel.ACCOUNT: self.account}
        for level, name in named.items():
            if (name is not None) != (self.scope is level):
                expected = "a name" if self.scope is level else "none"
                raise refused(
                    f"expected {expected} with the scope {self.scope.value!r}", field=level.value
                )
        return self


class HaltBody(ScopeBody):
    """Refuse new exposure, cancel every order, and with `flatten` close every position."""

    flatten: Flag = Field(False, description="Close every position at the market, bounded.")


class ResumeBody(ScopeBody):
    """Lift a halt. `force` also stops a kill switch that runs, and leaves open what is open."""

    force: Flag = False

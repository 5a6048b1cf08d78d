"""The bodies that halt and resume trading. Shape only; what is named is looked up later."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from api.bodies import Body, PrintableText
from api.fields import Flag, refused


class Target(StrEnum):
    """What can be named to be halted; a group stands for each account that is in it now."""

    ALL = "all"
    VENUE = "venue"
    ACCOUNT = "account"
    GROUP = "group"


class ScopeBody(Body):
    """What a halt covers: `all`, a `venue` or a `group` by name, an `account` by label or id."""

    scope: Target = Field(description="all, venue, account or group")
    venue: PrintableText | None = None
    account: PrintableText | None = None
    group: PrintableText | None = None
    reason: PrintableText = Field(description="Why; kept for ever.")

    @model_validator(mode="after")
    def _names_its_scope(self) -> Self:
        named = {Target.VENUE: self.venue, Target.ACCOUNT: self.account, Target.GROUP: self.group}
        for target, name in named.items():
            if (name is not None) != (self.scope is target):
                expected = "a name" if self.scope is target else "none"
                raise refused(
                    f"expected {expected} with the scope {self.scope.value!r}", field=target.value
                )
        return self


class HaltBody(ScopeBody):
    """Refuse new exposure, cancel every order, and with `flatten` close every position."""

    flatten: Flag = Field(False, description="Close every position at the market, bounded.")


class ResumeBody(ScopeBody):
    """Lift a halt. `force` also stops a kill switch that runs, and leaves open what is open."""

    force: Flag = False

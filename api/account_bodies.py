"""The bodies that change accounts and their groups. Shape only."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from api.bodies import Body, ShortText
from api.fields import Flag, Label, refused
from api.risk_bodies import RiskLimitsBody
from domain.account_groups import MEMBERS_MAX


class ChangeAccountBody(Body):
    """What to change of an account; what is left out stays.

    Limits are replaced as a whole: of those, what is left out is not limited any more.
    """

    label: Label | None = Field(None, description="Its new label; id, orders and history stay.")
    is_default: Flag | None = Field(
        None, description="true: used where no account is named, in place of the one before."
    )
    risk_limits: RiskLimitsBody | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.is_default is False:
            raise refused(
                "expected true, found false; make another account the default instead",
                field="is_default",
            )
        if self.label is None and self.is_default is None and self.risk_limits is None:
            raise refused("expected label, is_default or risk_limits, found none", field="label")
        return self


class GroupBody(Body):
    """The members of a group, by label or id; the group has these and no others."""

    accounts: Annotated[list[ShortText], Field(max_length=MEMBERS_MAX)]


GroupName = Annotated[str, StringConstraints(max_length=64)]

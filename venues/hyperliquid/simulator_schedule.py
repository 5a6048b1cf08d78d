"""The fee schedule that the simulated venue shows; the simulated exchange charges the base rates.

https://hyperliquid.gitbook.io/hyperliquid-docs/trading/fees
"""

from __future__ import annotations

from typing import Any, Final

from venues.hyperliquid.simulator_views import number
from venues.simulation.settlement import MAKER_FEE, TAKER_FEE

#: Volume of 14 days above which lower rates apply: cutoff, taker, maker.
_TIERS: Final = (
    ("5000000.0", "0.0004", "0.00012"),
    ("25000000.0", "0.00035", "0.00008"),
    ("100000000.0", "0.0003", "0.00004"),
    ("500000000.0", "0.00028", "0.0"),
    ("2000000000.0", "0.00026", "0.0"),
    ("7000000000.0", "0.00024", "0.0"),
)


def fee_schedule() -> dict[str, Any]:
    """Write what `userFees` says of any account: base rates, no discount."""
    taker, maker = number(TAKER_FEE), number(MAKER_FEE)
    tiers = [{"ntlCutoff": cutoff, "cross": cross, "add": add} for cutoff, cross, add in _TIERS]
    return {
        "dailyUserVlm": [],
        "feeSchedule": {
            "cross": taker,
            "add": maker,
            "spotCross": "0.0007",
            "spotAdd": "0.0004",
            "tiers": {"vip": tiers, "mm": []},
            "referralDiscount": "0.04",
            "stakingDiscountTiers": [{"bpsOfMaxSupply": "0.0", "discount": "0.0"}],
        },
        "userCrossRate": taker,
        "userAddRate": maker,
        "userSpotCrossRate": "0.0007",
        "userSpotAddRate": "0.0004",
        "activeReferralDiscount": "0.0",
        "trial": None,
        "feeTrialEscrow": "0.0",
        "nextTrialAvailableTimestamp": None,
        "stakingLink": None,
        "activeStakingDiscount": {"bpsOfMaxSupply": "0.0", "discount": "0.0"},
    }

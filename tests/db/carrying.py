"""What carries money as a process to be killed: `python -m tests.db.carrying URL STRIPE_URL deposit ID | refunds`.

It kills itself once Stripe has answered, before the answer is recorded.
"""

import asyncio
import os
import signal
import sys
from typing import Any

from tests.harness.local_stripe import KEY

from coach_os.database import PostgresDatabase
from coach_os.deposits import carry_deposit
from coach_os.providers.stripe import Stripe
from coach_os.sweeps.refunds import carry_refunds


class Dying(PostgresDatabase):
    """Dies where it should record."""

    async def rpc(self, name: str, /, **params: Any) -> Any:
        if name.startswith("service.record_"):
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().rpc(name, **params)


async def main(url: str, stripe_url: str, what: str, *arguments: str) -> None:
    async with Stripe(KEY, api_url=stripe_url) as stripe, Dying(url) as database:
        if what == "deposit":
            work = await database.rpc("service.open_deposit", p_deposit_id=arguments[0])
            await carry_deposit(database, stripe, work)
        else:
            await carry_refunds(database, stripe=stripe)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

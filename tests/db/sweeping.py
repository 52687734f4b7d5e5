"""The product's sweep as a process to be killed: `python -m tests.db.sweeping URL BATCH`.

It sweeps in small batches, one for each line it is given, and prints a line for each answer; at the end of its input it
goes on alone.
"""

import asyncio
import sys
from typing import Any

from coach_os.database import PostgresDatabase
from coach_os.sweeps import run_sweep
from coach_os.sweeps.in_database import BOOKINGS


class Paced(PostgresDatabase):
    """Lets its parent decide when a batch begins, and tells when it was answered."""

    async def rpc(self, name: str, /, **params: Any) -> Any:
        await asyncio.to_thread(sys.stdin.readline)
        answer = await super().rpc(name, **params)
        print(name, flush=True)
        return answer


async def main(url: str, batch: int) -> None:
    BOOKINGS.batch_size = batch
    async with Paced(url) as database:
        await run_sweep(database, "bookings")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))

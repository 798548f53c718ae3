"""A PostgreSQL server for tests: the one that the system has installed, on a folder and a port of its own."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alerts_world import free_port

POSTGRES = next((str(path.parent) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)


@contextmanager
def running() -> Iterator[str]:
    """The address of a server's database while it runs."""
    # Not under pytest's folder: PostgreSQL refuses to be run by root, and nobody else may look in there.
    folder = Path(tempfile.mkdtemp(prefix="agent-analytics-postgres-", dir="/tmp"))
    data, port = folder / "data", free_port()
    user = getpass.getuser() if os.getuid() else "postgres"
    if not os.getuid():
        os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)

    def run(program: str, *arguments: str) -> None:
        command = [f"{POSTGRES}/{program}", "-D", str(data), *arguments]
        options = {} if os.getuid() else {"user": user}
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, **options)  # type: ignore[call-overload]

    run("initdb", "--auth", "trust", "--username", "analytics", "--no-sync")
    settings = f"-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories='' -c fsync=off"
    run("pg_ctl", "-l", str(folder / "log"), "-w", "-o", settings, "start")
    try:
        yield f"postgresql://analytics@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)

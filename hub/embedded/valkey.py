"""Start and stop a private Valkey on a Unix socket, with nothing kept on disk: the database holds every fact."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from hub import embedded
from hub.embedded import CannotStart, programs
from hub.embedded.postgres import make_private
from hub.embedded.tether import tethered

_READY_SECONDS = 20


class Valkey:
    """One Valkey under `home`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.place = embedded.place(home)
        self.run = embedded.run_folder(home)
        self.socket = self.run / "valkey.sock"
        self.log = home / "logs" / "valkey.log"
        self.account = programs.account()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return when it answers; attach to one that already runs here."""
        self.prepare()
        if not self.answers():
            command = tethered(self.command(), on_parents_death=signal.SIGTERM, account=self.account)
            with self.log.open("ab") as output:
                self.process = subprocess.Popen(
                    command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
                )
        self.wait_until_ready()

    def prepare(self) -> None:
        """See to its folders."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.place.mkdir(parents=True, exist_ok=True)
        make_private(self.run, self.account)

    def command(self) -> list[str]:
        """The server's command line: no TCP port, no snapshots, and it never evicts a waiting wake-up."""
        server = str(programs.valkey_server(self.place))
        options = ["--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700", "--dir", str(self.run)]
        options += ["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction", "--loglevel", "warning"]
        return [server, *options]

    def answers(self) -> bool:
        """Whether a server answers on the socket now."""
        try:
            with self._client() as client:
                return bool(client.ping())
        except (redis.RedisError, OSError):
            return False

    def end_orphan(self) -> None:
        """Stop a server that a killed supervisor left behind; only for the holder of the home's lock."""
        if self.answers():
            with self._client() as client:
                client.shutdown(nosave=True)
        self.socket.unlink(missing_ok=True)

    def wait_until_ready(self) -> None:
        """Wait for the first PONG."""
        deadline = time.monotonic() + _READY_SECONDS
        while not self.answers():
            if self.process is not None and self.process.poll() is not None:
                raise CannotStart(f"Valkey stopped at once; its log is {self.log}.")
            if time.monotonic() > deadline:
                raise CannotStart(f"Valkey has not answered for {_READY_SECONDS} s; its log is {self.log}.")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server we started; it has nothing to save."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=2, retry=Retry(NoBackoff(), 0))

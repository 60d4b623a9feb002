"""Start and stop a private PostgreSQL: an unprivileged process, scram passwords, a private socket, the hub's roles."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psycopg
from psycopg import pq, sql

from hub import embedded
from hub.embedded import CannotStart, programs
from hub.embedded.tether import tethered

_SILENT_SECONDS = 60  # how long a live server may show no sign at all; recovery itself may take any time
_STOP_SECONDS = 60
_BOOTSTRAP = "heliograph_bootstrap"


class Postgres:
    """One PostgreSQL cluster under `home`; `start()` returns when it answers, `stop()` when it has gone."""

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        self.home = home
        self.place = embedded.place(home)
        self.data = self.place / "postgres"
        self.run = embedded.run_folder(home)
        self.log = home / "logs" / "postgres.log"
        self.durable = durable
        self.account = programs.account()
        self.process: subprocess.Popen[bytes] | None = None

    # ------------------------------------------------------------ one process of our own, without a supervisor
    def start(self) -> None:
        """Make the cluster if there is none, start it, see to its roles; attach to a server that already runs here."""
        self.prepare()
        if self.pid() is None:
            on_death = signal.SIGINT if self.durable else signal.SIGQUIT
            command = tethered(self.command(), on_parents_death=on_death, account=self.account)
            with self.log.open("ab") as output:
                self.process = subprocess.Popen(
                    command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
                )
        self.wait_until_ready()
        self.see_to_roles()

    def stop(self, *, immediate: bool = False) -> None:
        """Ask the server we started to end its sessions and stop; an attached one is left alone."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    # ------------------------------------------------------------ the steps, for whoever supervises the process
    def prepare(self) -> None:
        """Folders, cluster, and nothing in the way that a killed server left behind."""
        self._make_folders()
        version = self.data / "PG_VERSION"
        if not version.exists():
            self._initialise()
        elif not embedded.password_file(self.home, "bootstrap").exists():
            raise CannotStart(
                f"{self.data} was made under another {self.home / 'secrets'}: "
                f"put that folder back, or remove {self.data} to start afresh."
            )
        self.clear_leftovers()

    def command(self) -> list[str]:
        """The server's command line; every setting that differs from PostgreSQL's own stands here."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": f'"{self.run}"',
            "unix_socket_permissions": "0700",
            "password_encryption": "scram-sha-256",
            "max_connections": "200",
            "shared_buffers": "256MB",
            "max_wal_size": "2GB",
            "log_min_messages": "log",  # above ERROR: a refused statement's message may quote what it was given
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
            "log_checkpoints": "off",
            "log_line_prefix": "",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self._programs() / "postgres"), "-D", str(self.data), *options]

    def pid(self) -> int | None:
        """The process id of the server that runs on this cluster, whoever started it."""
        try:
            pid = int((self.data / "postmaster.pid").read_text(encoding="ascii", errors="replace").split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None
        return pid if _is_postgres(pid) else None

    def clear_leftovers(self) -> None:
        """Remove the lock files of a server that is no more: their process ids may meanwhile be somebody else's."""
        if self.pid() is None:
            for leftover in (self.data / "postmaster.pid", self.run / ".s.PGSQL.5432", self.run / ".s.PGSQL.5432.lock"):
                leftover.unlink(missing_ok=True)

    def end_orphan(self) -> None:
        """Stop a server that a killed supervisor left behind; only for the holder of the home's lock."""
        pid = self.pid()
        if pid is None:
            return
        for wanted, seconds in ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0)):
            try:
                os.kill(pid, wanted)
            except ProcessLookupError:
                return
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                if self.pid() != pid:
                    return
                time.sleep(0.05)
        raise CannotStart(f"PostgreSQL process {pid} on {self.data} does not stop: end it, then try again.")

    def ping(self) -> pq.Ping:
        """One knock at the door, without a password."""
        return pq.Ping(pq.PGconn.ping(f"host='{self.run}' dbname=postgres connect_timeout=5".encode()))

    def wait_until_ready(self) -> None:
        """Wait for the first answer; crash recovery gets all the time it needs."""
        deadline = time.monotonic() + _SILENT_SECONDS
        while (answer := self.ping()) != pq.Ping.OK:
            if self.process is not None and self.process.poll() is not None:
                raise CannotStart(f"PostgreSQL stopped at once; its log is {self.log}.")
            if answer == pq.Ping.REJECT:  # alive and busy: starting up, in recovery
                deadline = time.monotonic() + _SILENT_SECONDS
            elif time.monotonic() > deadline:
                raise CannotStart(f"PostgreSQL has not answered for {_SILENT_SECONDS} s; its log is {self.log}.")
            time.sleep(0.05)

    def see_to_roles(self) -> None:
        """Create what is missing: the owner that cannot log in, the three logins, the database."""
        try:
            connection = self.bootstrap_connection()
        except psycopg.OperationalError as error:
            if "authentication failed" in str(error):
                raise CannotStart(f"The passwords in {self.home / 'secrets'} are not those of {self.data}.") from None
            raise
        with connection:
            existing = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
            if "heliograph_owner" not in existing:
                connection.execute("CREATE ROLE heliograph_owner NOLOGIN")
            for role in embedded.ROLES:
                verb = "ALTER" if f"heliograph_{role}" in existing else "CREATE"
                connection.execute(
                    sql.SQL(verb + " ROLE {} LOGIN PASSWORD {}").format(
                        sql.Identifier(f"heliograph_{role}"), sql.Literal(embedded.password(self.home, role))
                    )
                )
            connection.execute("GRANT heliograph_owner TO heliograph_migrator")
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [embedded.DATABASE]).fetchone():
                self.create_database(connection, embedded.DATABASE)

    def create_database(self, connection: psycopg.Connection, name: str) -> None:
        """An empty database that the owner's role owns and nobody else may create in."""
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER heliograph_owner").format(sql.Identifier(name)))

    def bootstrap_connection(self, database: str = "postgres") -> psycopg.Connection:
        """A superuser's connection, for set-up and tests only."""
        dsn = psycopg.conninfo.make_conninfo(
            host=str(self.run), user=_BOOTSTRAP, password=embedded.password(self.home, "bootstrap"), dbname=database
        )
        return psycopg.connect(dsn, autocommit=True)

    # ------------------------------------------------------------ folders and initdb
    def _programs(self) -> Path:
        return programs.postgres_programs(self.place)

    def _make_folders(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.place != self.home:
            self.place.mkdir(parents=True, exist_ok=True)
            self.place.parent.chmod(0o711)
            _insist_on_owner(self.place, os.geteuid())
            self.place.chmod(0o711)
        make_private(self.run, self.account)

    def _initialise(self) -> None:
        """Make the cluster beside its place and move it in whole: a killed initdb leaves nothing that looks done."""
        fresh = self.data.with_name("postgres.new")
        shutil.rmtree(fresh, ignore_errors=True)
        make_private(fresh, self.account)
        if self.data.exists():
            self.data.rmdir()  # only ever an empty one
        secret = self.run / "bootstrap-password"
        secret.unlink(missing_ok=True)
        with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(embedded.password(self.home, "bootstrap"))
            if self.account is not None:
                os.fchown(file.fileno(), *self.account)
        command = [str(self._programs() / "initdb"), "-D", str(fresh), "-U", _BOOTSTRAP, "--encoding=UTF8"]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", f"--pwfile={secret}"]
        command += ["--auth=scram-sha-256", *([] if self.durable else ["--no-sync"])]
        command = tethered(command, on_parents_death=signal.SIGKILL, account=self.account)
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
            fresh.rename(self.data)
        except subprocess.CalledProcessError as error:
            shutil.rmtree(fresh, ignore_errors=True)
            raise CannotStart(f"initdb failed: {' '.join(error.stderr.split())}") from None
        finally:
            secret.unlink(missing_ok=True)


def make_private(folder: Path, account: tuple[int, int] | None) -> None:
    """A folder that only the servers' account (and root) may enter; an existing one must be theirs already."""
    wanted = os.geteuid() if account is None else account[0]
    if not folder.is_symlink() and folder.exists() and folder.stat().st_uid == os.geteuid() != wanted:
        os.chown(folder, *(account or (-1, -1)))
    if not folder.exists():
        folder.mkdir(mode=0o700)
        if account is not None:
            os.chown(folder, *account)
    _insist_on_owner(folder, wanted)
    folder.chmod(0o700)


def _insist_on_owner(folder: Path, uid: int) -> None:
    if folder.is_symlink() or folder.stat().st_uid != uid:
        raise CannotStart(f"{folder} belongs to somebody else: move it away, or set HELIOGRAPH_HOME to another folder.")


def _is_postgres(pid: int) -> bool:
    """Whether that process lives and is a PostgreSQL server; without /proc, whether it lives."""
    try:
        return b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0", 1)[0]
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
    except ProcessLookupError:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

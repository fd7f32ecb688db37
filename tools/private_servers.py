"""Servers beside a receiver, private and gone with the process that started them: PostgreSQL, PgBouncer, NATS."""

from __future__ import annotations

import json
import os
import pwd
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from debian_programs import MissingProgram, environment_of_programs, find_program, library_folders, unpacked_root

if TYPE_CHECKING:
    from collections.abc import Callable

_REMOVE_AFTER = Path(__file__).resolve().parents[1] / "crates/test-support/src/remove_after.sh"
#: How long anything may take, seconds.
PATIENCE = 30
#: The oldest PostgreSQL that is tested with.
_OLDEST = 15


class Folder:
    """A folder below `/tmp` for one user alone; gone when it is ended, or after this process."""

    def __init__(self, prefix: str, user: pwd.struct_passwd | None) -> None:
        # The folder of unprivileged programs, and short enough for the path of a Unix socket.
        self.path = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
        if user is not None:
            os.chown(self.path, user.pw_uid, user.pw_gid)
        self._remover = subprocess.Popen(
            ["sh", _REMOVE_AFTER, self.path], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def end(self) -> None:
        self._remover.communicate(timeout=PATIENCE)


class Server:
    """A program at work over a folder of its own, on a free port of 127.0.0.1."""

    def __init__(self, name: str) -> None:
        find_program("setpriv")
        self.name = name
        #: As whom it runs; None: as ourselves. PostgreSQL and PgBouncer refuse root.
        self.user = _other_user()
        self.port = _free_port()
        self._folder = Folder(f"pylon-{name}-", self.user)
        self.folder = self._folder.path
        self.log = self.folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, name: str, text: str) -> Path:
        """Write a file that the server can read, and no other user."""
        file = self.folder / name
        file.touch(mode=0o600)
        if self.user is not None:
            os.chown(file, self.user.pw_uid, self.user.pw_gid)
        file.write_text(text)
        return file

    def run(self, *command: str | Path, text: str = "") -> str:
        """Run a program to its end, as the user of the server; what it prints."""
        done = subprocess.run(
            [*_as_user(self.user), *command],
            check=False,
            capture_output=True,
            text=True,
            input=text,
            cwd="/",
            env=_environment(),
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, *command: str | Path, is_ready: Callable[[], bool]) -> None:
        """Start the server and wait until it is ready."""
        with self.log.open("ab") as log:
            # The first signal ends PostgreSQL and its sessions, and the others too.
            self.process = subprocess.Popen(
                # A shell has what it runs in the background ignore these signals, and what that starts.
                [
                    "setpriv",
                    "--pdeathsig",
                    "QUIT",
                    *_as_user(self.user)[1:],
                    "env",
                    "--default-signal=INT,QUIT",
                    *command,
                ],
                cwd="/",
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )
        deadline = time.monotonic() + PATIENCE
        while not is_ready():
            is_late = time.monotonic() > deadline or self.process.poll() is not None
            assert not is_late, f"{self.name} is not ready; it wrote:\n{self.log.read_text()}"
            time.sleep(0.01)

    def stop(self, by: signal.Signals = signal.SIGINT) -> None:
        """Stop the server, and wait until it has stopped; its folder stays."""
        if self.process is None:
            return
        self.process.send_signal(by)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process = None

    def end(self) -> None:
        """Stop the server and remove its folder."""
        try:
            self.stop(signal.SIGQUIT)
        finally:
            self._folder.end()


class Postgres(Server):
    """A PostgreSQL cluster, or the standby of one. Its socket asks for no password, its port for that of the superuser, `postgres`."""

    def __init__(self, follows: Postgres | None = None, /, **settings: str) -> None:
        self.programs = _reachable(_postgres_programs())
        super().__init__("pg")
        self.password: str = follows.password if follows else secrets.token_hex(16)
        self.data = self.folder / "data"
        self._made = 0
        usual = {
            "unix_socket_directories": str(self.folder),
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "fsync": "off",
            "full_page_writes": "off",
            "jit": "off",
        }
        self.settings = {**usual, **settings}
        try:
            if follows:
                self._copy(follows)
            else:
                self._make()
            lines = [f"{name} = '{value}'\n" for name, value in self.settings.items()]
            self.write("data/postgresql.conf", "".join(lines))
            self.restart()
        except BaseException:
            self.end()
            raise

    def _make(self) -> None:
        """Make data."""
        passwords = self.write("password", self.password)
        self.run(
            *(self.programs / "initdb", "-D", self.data, "--no-sync", "--no-instructions", "--encoding=UTF8"),
            # Texts sort by language here unless SQL says otherwise, as in most clusters of others.
            *("--locale=C", "--locale-provider=icu", "--icu-locale=und", "--username=postgres"),
            *("--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile", passwords),
        )

    def _copy(self, primary: Postgres) -> None:
        """Copy the data of a primary, and be its standby from the start on."""
        self.run(
            *(self.programs / "pg_basebackup", "-D", self.data, "-X", "stream", "--checkpoint=fast", "--no-sync"),
            *("-d", primary.url()),
        )
        self.write("data/standby.signal", "")

    def standby(self) -> Postgres:
        """Start a standby that each commit waits for from now on."""
        name = "standby"
        source = f"host={self.folder} port={self.port} user=postgres application_name={name}"
        # Where the socket is and which port it has, each knows by itself.
        own = ("unix_socket_directories", "port")
        settings = {key: value for key, value in self.settings.items() if key not in own}
        standby = Postgres(self, **{**settings, "primary_conninfo": source})
        try:
            self.sql(f"ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 ({name})'")
            self.sql("SELECT pg_reload_conf()")
            deadline = time.monotonic() + PATIENCE
            while self.sql("SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'") != "sync":
                assert time.monotonic() < deadline, f"the standby does not stream; it wrote:\n{standby.log.read_text()}"
                time.sleep(0.01)
        except BaseException:
            standby.end()
            raise
        return standby

    def promote(self) -> None:
        """Make this standby a primary, and wait until it is one."""
        assert self.sql(f"SELECT pg_promote(true, {PATIENCE})") == "t", self.log.read_text()

    def restart(self, by: signal.Signals = signal.SIGINT) -> None:
        """Start the server with its data, after stopping it if it runs."""
        self.stop(by)
        self.start(self.programs / "postgres", "-D", self.data, is_ready=self._is_ready)

    def _is_ready(self) -> bool:
        file = self.data / "postmaster.pid"
        lines = file.read_text().splitlines() if file.exists() else []
        # The first is the process that wrote it, the eighth the state.
        assert self.process is not None
        return len(lines) > 7 and lines[0] == str(self.process.pid) and lines[7].strip() == "ready"

    def url(self, database: str = "postgres") -> str:
        """The URL of a database, by the socket."""
        return f"postgres://postgres@/{database}?host={self.folder}&port={self.port}"

    def tcp_url(self, database: str = "postgres") -> str:
        """The URL of a database, by TCP and with the password."""
        return f"postgres://postgres:{self.password}@127.0.0.1:{self.port}/{database}"

    def sql(self, text: str, database: str = "postgres", *, url: str | None = None) -> str:
        """Run SQL; what it selects: a line a row, columns parted by `|`."""
        options = ("-XAtq", "-v", "ON_ERROR_STOP=1", "-d", url or self.url(database))
        return self.run(self.programs / "psql", *options, text=text).removesuffix("\n")

    def fresh_database(self) -> str:
        """Make a database that nobody else uses; its name."""
        self._made += 1
        name = f"fresh_{self._made}"
        self.sql(f"CREATE DATABASE {name}")
        return name


class PgBouncer(Server):
    """PgBouncer in front of all databases of a PostgreSQL; it asks for the same password."""

    def __init__(self, postgres: Postgres, pool_mode: str = "transaction", **settings: str) -> None:
        program = _reachable(find_program("pgbouncer"))
        super().__init__("pgbouncer")
        self.password = postgres.password
        users = self.write("users", f'"postgres" "{self.password}"\n')
        usual = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": str(users),
            "admin_users": "postgres",
            "pool_mode": pool_mode,
        }
        lines = [f"{name} = {value}\n" for name, value in {**usual, **settings}.items()]
        databases = f"[databases]\n* = host={postgres.folder} port={postgres.port} user=postgres\n"
        file = self.write("pgbouncer.ini", f"{databases}[pgbouncer]\n{''.join(lines)}")
        try:
            self.start(program, file, is_ready=lambda: _takes_connections(self.port))
        except BaseException:
            self.end()
            raise

    def url(self, database: str = "postgres") -> str:
        """The URL of a database, through PgBouncer."""
        return f"postgres://postgres:{self.password}@127.0.0.1:{self.port}/{database}"


class NatsServer(Server):
    """A NATS server with JetStream, and what else the configuration says."""

    def __init__(self, configuration: str = "") -> None:
        program = _reachable(find_program("nats-server"))
        super().__init__("nats")
        own = f'host: "127.0.0.1"\nport: {self.port}\njetstream {{ store_dir: "{self.folder}/jetstream" }}\n'
        self._command = (program, "-c", self.write("nats.conf", own + configuration))
        try:
            self.restart()
        except BaseException:
            self.end()
            raise

    def restart(self, by: signal.Signals = signal.SIGINT) -> None:
        """Start the server with its streams, after stopping it if it runs."""
        self.stop(by)
        self.start(*self._command, is_ready=lambda: _takes_connections(self.port))

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def info(self) -> dict[str, object]:
        """What it says about itself to who connects."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            line = connection.makefile().readline()
        assert line.startswith("INFO "), line
        info: dict[str, object] = json.loads(line.removeprefix("INFO "))
        return info


def _takes_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    """A port below those that Linux gives away by itself, so that nobody gets it while the server is stopped."""
    while True:
        port = random.randrange(12_000, 32_000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port


def _environment() -> dict[str, str]:
    own = {name: value for name, value in environment_of_programs(_root()).items() if not name.startswith("PG")}
    # The time zone that PostgreSQL knows without files.
    return {**own, "TZ": "GMT"}


def _other_user() -> pwd.struct_passwd | None:
    """As whom programs run that refuse root; None where we are not root."""
    if os.geteuid() != 0:
        return None
    users = {user.pw_name: user for user in pwd.getpwall()}
    return users.get("postgres") or users["nobody"]


def _as_user(user: pwd.struct_passwd | None) -> list[str]:
    """What a command begins with that runs as this user."""
    return ["setpriv"] + ([f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"] if user else [])


def _postgres_programs() -> Path:
    """The folder of PostgreSQL's programs; raises MissingProgram."""
    roots = [root for root in (unpacked_root(), Path("/")) if root is not None]
    found = [path for root in roots for path in sorted(root.glob("usr/lib/postgresql/*/bin"), reverse=True)]
    found += [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
    for folder in found:
        if (folder / "initdb").is_file():
            version = subprocess.run(
                [folder / "postgres", "--version"], check=True, capture_output=True, text=True, env=_environment()
            ).stdout
            if int(re.findall(r"\d+", version)[0]) >= _OLDEST:
                return folder
    raise MissingProgram("PostgreSQL")


def _reachable(path: Path) -> Path:
    """The path, or that of a copy that the user of the servers can reach."""
    root, reachable = unpacked_root(), _root()
    return path if root is None or reachable is None or root not in path.parents else reachable / path.relative_to(root)


@cache
def _root() -> Path | None:
    """The root folder of the unpacked packages, or of a copy: root's cache of packages may be closed to others."""
    root, user = unpacked_root(), _other_user()
    if root is None or user is None or not root.exists():
        return root
    looks = [*_as_user(user), "sh", "-c", 'test -x "$0"', str(root)]
    if subprocess.run(looks, check=False, timeout=PATIENCE).returncode == 0:
        return root
    copy = Folder("pylon-programs-", user)
    _COPIES.append(copy)
    copy.path.chmod(0o755)
    for folder in [
        root / "usr/lib/postgresql",
        root / "usr/share/postgresql",
        root / "usr/sbin",
        *library_folders(root),
    ]:
        if folder.exists():
            # The library is large, and without JIT not used.
            unneeded = shutil.ignore_patterns("libLLVM*")
            to = copy.path / folder.relative_to(root)
            shutil.copytree(folder, to, symlinks=True, copy_function=_link, ignore=unneeded)
    return copy.path


#: They go with this process.
_COPIES: list[Folder] = []


def _link(source: str, target: str) -> None:
    """Copy a file; as a link to the same file where that can be."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)

#!/usr/bin/env bash
# The image's own install and entry commands, run here without Docker: a fresh environment from the hashed lock, a database
# made by roles.sql, then prepare, web and the health check. Needs the package index; about a minute.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch="$(mktemp -d)"
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait; rm -rf "$scratch"' EXIT
chmod 711 "$scratch"

echo "── build stage"
python3.11 -m venv "$scratch/venv"
sed '/^# ---- only for tests/,$d' requirements.lock >"$scratch/production.lock"
"$scratch/venv/bin/pip" install --quiet --no-cache-dir --disable-pip-version-check \
    --require-hashes --only-binary :all: -r "$scratch/production.lock"

echo "── what the image copies"
mkdir "$scratch/app" "$scratch/app/client"
cp -r manage.py hub partners signals docker "$scratch/app/"
cp -r client/src "$scratch/app/client/src"
cd "$scratch/app"

echo "── engines, with the roles that docker/roles.sql makes"
"$scratch/venv/bin/python" - "$scratch" <<'PYTHON' &
import signal, sys
from pathlib import Path
sys.path.insert(0, ".")
from hub.embedded.postgres import Postgres
from hub.embedded.valkey import Valkey
home = Path(sys.argv[1]) / "engines"
postgres, valkey = Postgres(home, durable=False), Valkey(home)
postgres.see_to_roles = lambda: None
postgres.start()
valkey.start()
with postgres.bootstrap_connection() as connection:
    connection.execute("CREATE DATABASE heliograph")
sql = Path("docker/roles.sql").read_text()
for role in ("app", "migrator", "ledger"):
    sql = sql.replace(f":'{role}_password'", f"'{role}-secret'")
with postgres.bootstrap_connection("heliograph") as connection:
    connection.execute("\n".join(line for line in sql.splitlines() if not line.startswith("--")))
(home / "ready").touch()
signal.sigwait({signal.SIGTERM})
valkey.stop()
postgres.stop(immediate=True)
PYTHON
pids+=($!)
for _ in $(seq 100); do [ -e "$scratch/engines/ready" ] && break || sleep 0.2; done

host="$(python3.11 -c 'import sys, urllib.parse; print(urllib.parse.quote(sys.argv[1], safe=""))' "$scratch/engines/run")"
export PATH="$scratch/venv/bin:$PATH" PYTHONPATH="$scratch/app/client/src" HELIOGRAPH_HOME="$scratch/home" HELIOGRAPH_ENV=production
export HELIOGRAPH_LOG_FORMAT=json HELIOGRAPH_HUB_ID=hub.example HELIOGRAPH_PUBLIC_URL=https://hub.example
export HELIOGRAPH_ALLOWED_HOSTS=hub.example WEB_PORT="${WEB_PORT:-18999}" WEB_HOST=127.0.0.1
export HELIOGRAPH_BROKER_URL="redis+socket://$scratch/engines/run/valkey.sock"
export HELIOGRAPH_DATABASE_URL="postgresql://heliograph_app:app-secret@$host/heliograph"

echo "── entrypoint.sh prepare"
HELIOGRAPH_OWNER_DATABASE_URL="postgresql://heliograph_migrator:migrator-secret@$host/heliograph" docker/entrypoint.sh prepare
for part in web worker deliverer; do
    docker/entrypoint.sh "$part" &
    pids+=($!)
done
HELIOGRAPH_LEDGER_DATABASE_URL="postgresql://heliograph_ledger:ledger-secret@$host/heliograph" docker/entrypoint.sh beat &
pids+=($!)

for part in web worker deliverer beat; do
    echo "── entrypoint.sh healthy $part"
    for try in $(seq 20); do
        docker/entrypoint.sh healthy "$part" >/dev/null 2>&1 && break || sleep 1
        [ "$try" -lt 20 ] || { echo "$part is not healthy" && exit 1; }
    done
done
echo "── the image's commands work"

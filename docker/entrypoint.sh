#!/bin/sh
# The image's commands: web, worker, deliverer, beat, prepare, healthy NAME; anything else is run as it stands.
set -eu
cd "$(dirname "$0")/.."

worker() { # worker NAME QUEUES PROCESSES
    exec python -m celery --quiet -A hub.celery worker --without-gossip --without-mingle --loglevel INFO \
        -n "$1@%h" -Q "$2" -c "$3"
}

case "${1:-web}" in
web)
    exec python -m granian --interface asginl --no-ws --log-config hub/granian-logging.json \
        --host "${WEB_HOST:-0.0.0.0}" --port "${WEB_PORT:-8000}" --workers "${WEB_PROCESSES:-2}" hub.asgi:application
    ;;
worker) worker worker verify,default "${WORKER_PROCESSES:-2}" ;;
deliverer) worker deliverer deliver "${DELIVERER_PROCESSES:-1}" ;;
beat) exec python manage.py up --only beat sequencer ;;
prepare)
    python manage.py create_key_encryption_key
    python manage.py prepare_database
    exec python manage.py import_warning_list
    ;;
healthy)
    case "${2:-web}" in
    web)
        exec python -c '
import os, urllib.request
host = os.environ.get("HELIOGRAPH_ALLOWED_HOSTS", "localhost").split(",")[0].strip()
url = "http://127.0.0.1:" + os.environ.get("WEB_PORT", "8000") + "/readyz"
urllib.request.urlopen(urllib.request.Request(url, headers={"Host": host}), timeout=8)'
        ;;
    worker | deliverer) exec python -m celery --quiet -A hub.celery inspect ping --timeout 8 -d "$2@$(hostname)" ;;
    beat) kill -0 "$(sed -n 's/^process \([0-9]*\).*/\1/p' "${HELIOGRAPH_HOME:-var}/up.lock")" ;;
    *) echo "healthy web|worker|deliverer|beat" >&2 && exit 2 ;;
    esac
    ;;
*) exec "$@" ;;
esac

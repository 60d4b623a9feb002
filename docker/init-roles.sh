#!/bin/sh
# Run once by the db container, when its volume is empty.
set -eu
exec psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname heliograph \
    -v app_password="$DB_APP_PASSWORD" -v migrator_password="$DB_MIGRATOR_PASSWORD" \
    -v ledger_password="$DB_LEDGER_PASSWORD" -f /roles/roles.sql

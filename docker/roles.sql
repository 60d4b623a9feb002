-- The database's three logins and the owner that cannot log in; run once, by a superuser, in the hub's database:
--   psql -v app_password=… -v migrator_password=… -v ledger_password=… -d heliograph -f roles.sql
-- `manage.py prepare_database` gives each of them exactly its rights afterwards.
CREATE ROLE heliograph_owner NOLOGIN;
CREATE ROLE heliograph_app LOGIN PASSWORD :'app_password';
CREATE ROLE heliograph_migrator LOGIN PASSWORD :'migrator_password';
CREATE ROLE heliograph_ledger LOGIN PASSWORD :'ledger_password';
GRANT heliograph_owner TO heliograph_migrator;
ALTER DATABASE heliograph OWNER TO heliograph_owner;
ALTER SCHEMA public OWNER TO heliograph_owner;

#!/bin/sh
# Runs once, when the database is made: the roles of the platform and a database
# of their own. The owner only migrates. The other two are what requests and the
# work in the background run as; neither owns a table, so row-level security
# holds for both.
set -eu
for name in POSTGRES_OWNER_PASSWORD POSTGRES_RUNTIME_PASSWORD POSTGRES_SYSTEM_PASSWORD; do
  eval "[ -n \"\${$name:-}\" ]" || { echo "$name must be set" >&2; exit 1; }
done
# The passwords go by the environment of psql: arguments can be seen by others.
psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname=postgres <<'SQL'
\getenv owner POSTGRES_OWNER_PASSWORD
\getenv runtime POSTGRES_RUNTIME_PASSWORD
\getenv system POSTGRES_SYSTEM_PASSWORD
CREATE ROLE platform LOGIN PASSWORD :'owner';
CREATE ROLE platform_runtime LOGIN PASSWORD :'runtime';
CREATE ROLE platform_system LOGIN PASSWORD :'system';
CREATE DATABASE platform OWNER platform;
REVOKE CONNECT, TEMPORARY ON DATABASE platform FROM PUBLIC;
GRANT CONNECT ON DATABASE platform TO platform_runtime, platform_system;
SQL

#!/bin/sh
# Makes .env beside this file with a random password for each login. It leaves an
# existing one alone: the databases were made with its passwords.
set -eu
cd "$(dirname "$0")"
if [ -e .env ]; then
  echo "make-env.sh: .env is there already" >&2
  exit 1
fi
umask 077
new() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
{
  for name in POSTGRES_PASSWORD POSTGRES_OWNER_PASSWORD POSTGRES_RUNTIME_PASSWORD POSTGRES_SYSTEM_PASSWORD \
    MONGO_ROOT_PASSWORD MONGO_PASSWORD REDIS_PASSWORD; do
    echo "$name=$(new)"
  done
} > .env
echo "made .env"

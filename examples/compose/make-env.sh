#!/bin/sh
# Makes .env beside this file with a random password for each login, and the
# keys of what is stored sealed. It leaves an
# existing one alone: the databases were made with its passwords.
set -eu
cd "$(dirname "$0")"
if [ -e .env ]; then
  echo "make-env.sh: .env is there already" >&2
  exit 1
fi
umask 077
new() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
# A keyset of Tink with one AES-256-GCM key; 1a 20 say in its message that 32 bytes follow.
sealing_keys() {
  id=$(od -An -N3 -tu4 /dev/urandom | tr -d ' \n')
  key=$({ printf '\032\040'; head -c 32 /dev/urandom; } | base64 | tr -d '\n')
  printf '{"primaryKeyId":%s,"key":[{"keyData":{"typeUrl":"type.googleapis.com/google.crypto.tink.AesGcmKey","value":"%s","keyMaterialType":"SYMMETRIC"},"status":"ENABLED","keyId":%s,"outputPrefixType":"TINK"}]}' \
    "$id" "$key" "$id" | base64 | tr -d '\n'
}
{
  for name in POSTGRES_PASSWORD POSTGRES_OWNER_PASSWORD POSTGRES_RUNTIME_PASSWORD POSTGRES_SYSTEM_PASSWORD \
    MONGO_ROOT_PASSWORD MONGO_PASSWORD REDIS_PASSWORD; do
    echo "$name=$(new)"
  done
  echo "SEALING_KEYS=$(sealing_keys)"
} > .env
echo "made .env"

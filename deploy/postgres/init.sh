#!/bin/sh
# Run once by the PostgreSQL image on an empty data directory (compose.yaml). All roles share one password here; on a
# real server give each its own, with roles.sql directly.
set -eu
set --
for name in catalog inventory orders partners loyalty channels access; do
  set -- "$@" -v "${name}_password=$ROLES_PASSWORD"
done
psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" "$@" -f /oneshelf/roles.sql

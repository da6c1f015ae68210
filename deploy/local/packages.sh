# shellcheck shell=bash
# Installing what is missing, for `up`. Only packages of the distribution, and never their system services: a
# PostgreSQL on 5432 that appears because somebody ran our tests would be a nasty surprise.

ensure_packages() {
  local missing=() packages=() name
  if [ -n "$PG_URL" ]; then
    find_binary psql >/dev/null || { missing+=("psql (the PostgreSQL client)") && packages+=(postgresql-client); }
  else
    for name in postgres initdb psql pg_isready; do
      find_binary "$name" >/dev/null || { missing+=("PostgreSQL ($name)") && packages+=(postgresql postgresql-contrib) && break; }
    done
  fi
  if [ -z "$REDIS_URL" ] && ! find_binary redis-server >/dev/null; then missing+=("Redis (redis-server)") && packages+=(redis-server); fi
  if [ -z "$AMQP_URL" ] && ! { find_rabbitmq rabbitmq-server && find_binary epmd; } >/dev/null; then
    missing+=("RabbitMQ (rabbitmq-server)") && packages+=(rabbitmq-server)
  fi
  if ((${#missing[@]} == 0)); then return; fi
  install_packages "${packages[@]}" || cannot_install "${missing[@]}"
}

cannot_install() {
  {
    printf 'local: missing on this machine, and not installed:\n'
    printf '  - %s\n' "$@"
    printf 'Install them, or give the address of running ones:\n'
    printf '  ONESHELF_POSTGRES_URL=postgres://admin:...@host/postgres  ONESHELF_REDIS_URL=redis://...  ONESHELF_AMQP_URL=amqp://...\n'
  } >&2
  exit 1
}

# as_root <command...>: directly, or by sudo; without a terminal sudo must not ask.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    if [ -t 0 ]; then sudo "$@"; else sudo -n "$@"; fi
  else
    return 1
  fi
}

# install_packages <package...>: with apt-get, quietly, and with the services of the packages kept from starting.
install_packages() {
  command -v apt-get >/dev/null || return 1
  as_root true 2>/dev/null || return 1
  say "installing $* (apt-get; this can take a minute or two)"
  as_root bash -s -- "$@" >"$LOCAL/log/apt.log" 2>&1 <<'INSTALL' || { tail -n 15 "$LOCAL/log/apt.log" >&2 && return 1; }
set -eu
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
cluster=/etc/postgresql-common/createcluster.d/oneshelf.conf
undo() {
  rm -f "$policy" "$cluster"
  if [ -e "$policy.oneshelf-kept" ]; then mv "$policy.oneshelf-kept" "$policy"; fi
}
trap undo EXIT
if [ -e "$policy" ]; then mv "$policy" "$policy.oneshelf-kept"; fi
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"
mkdir -p "$(dirname "$cluster")"
echo 'create_main_cluster = false' >"$cluster"
apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "$@" || {
  apt-get -o DPkg::Lock::Timeout=600 update
  apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "$@"
}
# Nor shall they start at the next boot.
if [ -d /run/systemd/system ]; then
  for package in "$@"; do
    case $package in
      postgresql | redis-server | rabbitmq-server) systemctl disable "$package" ;;
    esac
  done
fi
INSTALL
}

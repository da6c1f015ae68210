# shellcheck shell=bash
# What `up`, `down` and `ctl` share: where things lie, how a server of ours is found, started and stopped.
#
# Three servers and Erlang's name server (epmd), each a plain process of ours:
#   $LOCAL/run/<name>.pid   its process id; believed only while that process stands in $DATA/<name>
#   $DATA/<name>/           its data, and its working directory
#   $LOCAL/log/<name>.log   what it prints
# No server manager, no pg_ctl, no rabbitmqctl: the same few lines start, probe, stop and kill all of them, and a
# process id that was reused by a stranger after a reboot is never signalled.

set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
LOCAL=${ONESHELF_LOCAL_DIR:-$ROOT/.local}
mkdir -p "$LOCAL/run" "$LOCAL/log"
LOCAL=$(cd "$LOCAL" && pwd)
DATA=

say() { printf '%s\n' "local: $*"; }
die() {
  printf '%s\n' "local: $*" >&2
  exit 1
}

# One `up`, `down` or `ctl` at a time per stack. A directory can be locked, so no lock file is left behind.
# The descriptors 8 and 9 are closed again in every server we start, or a server would hold the lock for ever.
lock_stack() {
  exec 8<"$LOCAL"
  flock -w 300 8 || die "another up or down on $LOCAL does not end"
}
# Two clones that come up at the same moment must not find the same port free.
lock_ports() {
  exec 9</var/tmp
  flock -w 300 9 || die "another stack on this machine does not finish starting"
}
unlock_ports() { exec 9<&-; }

# --- Who runs the servers, and where their data lies ---------------------------------------------------------------
# initdb refuses root. As root the servers run as the system user `oneshelf`; the checkout may lie where that user
# cannot go (mktemp -d makes directories of mode 0700), so the data then lies in /var/tmp and $LOCAL/data points to it.
RUN_AS=()
SERVER_USER=oneshelf
if [ "$(id -u)" = 0 ]; then
  RUN_AS=(setpriv --reuid "$SERVER_USER" --regid "$SERVER_USER" --clear-groups)
fi

make_data_dir() {
  if [ "$(id -u)" = 0 ]; then
    id -u "$SERVER_USER" >/dev/null 2>&1 ||
      useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$SERVER_USER"
    if [ ! -d "$LOCAL/data" ]; then # absent, or a link whose target was cleaned away
      rm -f "$LOCAL/data"
      ln -s "$(mktemp -d /var/tmp/oneshelf-XXXXXXXX)" "$LOCAL/data"
      chown "$SERVER_USER:" "$LOCAL/data/"
    fi
  else
    [ -d "$LOCAL/data" ] || mkdir -m 0700 "$LOCAL/data"
  fi
  find_data_dir
}
find_data_dir() { DATA=$(cd "$LOCAL/data" 2>/dev/null && pwd -P) || DATA=; }

# A directory that belongs to the servers' user.
own_dir() {
  [ -d "$1" ] || mkdir -m 0700 "$1"
  if [ "$(id -u)" = 0 ]; then chown "$SERVER_USER:" "$1"; fi
}
# A file for the servers' user alone, filled from standard input. Written aside and renamed: never half a file.
own_file() {
  (umask 077 && cat >"$1.new")
  if [ "$(id -u)" = 0 ]; then chown "$SERVER_USER:" "$1.new"; fi
  mv "$1.new" "$1"
}

# --- Remembered facts ----------------------------------------------------------------------------------------------
load_facts() {
  PG_PORT='' REDIS_PORT='' AMQP_PORT='' EPMD_PORT='' DIST_PORT=''
  # shellcheck disable=SC1091
  if [ -f "$LOCAL/ports" ]; then . "$LOCAL/ports"; fi
  # shellcheck disable=SC1091
  if [ -f "$LOCAL/secrets" ]; then . "$LOCAL/secrets"; fi
}
save_ports() {
  printf '%s\n' "PG_PORT=$PG_PORT" "REDIS_PORT=$REDIS_PORT" "AMQP_PORT=$AMQP_PORT" "EPMD_PORT=$EPMD_PORT" \
    "DIST_PORT=$DIST_PORT" >"$LOCAL/ports.new"
  mv "$LOCAL/ports.new" "$LOCAL/ports"
}

port_busy() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
port_of() {
  case $1 in
    postgres) echo "$PG_PORT" ;;
    redis) echo "$REDIS_PORT" ;;
    rabbitmq) echo "$AMQP_PORT" ;;
    epmd) echo "$EPMD_PORT" ;;
  esac
}
# The usual port, or one a random number of hundreds above it. Hundreds keep the five ports and the services' own (7400
# and up) out of each other's way; random, because the next free one may belong to a stack that is just being restarted.
free_port() {
  local port=$1 tries=200
  while port_busy "$port"; do
    ((tries-- > 0)) || die "no free port above $1"
    port=$(($1 + 100 * (1 + RANDOM % 200)))
  done
  echo "$port"
}

# --- Binaries ------------------------------------------------------------------------------------------------------
# Debian keeps servers off the PATH of ordinary users. The newest PostgreSQL found wins.
find_binary() {
  local name=$1 dir
  for dir in $(printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin | sort -rV) ${PATH//:/ } /usr/sbin /usr/local/sbin; do
    if [ -x "$dir/$name" ]; then echo "$dir/$name" && return; fi
  done
  return 1
}
# Debian's /usr/sbin/rabbitmq-server insists on its own user; the script it wraps does not.
find_rabbitmq() {
  local dir
  for dir in $(printf '%s\n' /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin /opt/rabbitmq/sbin /usr/local/opt/rabbitmq/sbin | sort -rV); do
    if [ -x "$dir/$1" ]; then echo "$dir/$1" && return; fi
  done
  return 1
}

# postgres://user:pw@host:port/db?options, with another database.
with_database() {
  local base=${1%%\?*} options=
  if [[ $1 == *\?* ]]; then options="?${1#*\?}"; fi
  local scheme=${base%%://*} rest=${base#*://}
  echo "$scheme://${rest%%/*}/$2$options"
}
# --- Processes -----------------------------------------------------------------------------------------------------
pid_of() { # prints the pid if it is alive and ours
  local pid
  pid=$(cat "$LOCAL/run/$1.pid" 2>/dev/null) && [ -n "$pid" ] && [ -n "$DATA" ] || return 1
  [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$DATA/$1" ] || return 1
  echo "$pid"
}
running() { pid_of "$1" >/dev/null; }

# spawn <name> <command...>: its own session, no descriptor of ours, so that a caller who reads our output through a
# pipe sees its end, and Ctrl-C in the terminal does not reach the servers.
spawn() {
  local name=$1
  shift
  # The directory is changed before the process is born: it must not be looked at while it still stands elsewhere.
  cd "$DATA/$name"
  (exec setsid "${RUN_AS[@]}" "$@" </dev/null >>"$LOCAL/log/$name.log" 2>&1 8<&- 9<&-) &
  echo $! >"$LOCAL/run/$name.pid"
  cd "$ROOT"
}

# Every process that stands in a server's directory: the server, its workers, and what a killed one left behind.
members_of() { find /proc -maxdepth 2 -name cwd -lname "$DATA/$1" 2>/dev/null | cut -d/ -f3 || true; }

wait_gone() { # <tenths of a second> <pid...>
  local tenths=$1 pid
  shift
  for pid; do
    while [ -d "/proc/$pid" ] && ! grep -qs '^State:[[:space:]]Z' "/proc/$pid/status"; do
      if ((tenths-- <= 0)); then return 1; fi
      sleep 0.1
    done
  done
}

# Asks it to end; after a minute no longer asks.
stop_component() {
  local name=$1 pid signal=TERM
  pid=$(pid_of "$name") || { rm -f "$LOCAL/run/$name.pid" && return 0; }
  if [ "$name" = postgres ]; then signal=INT; fi # "fast": TERM would wait for clients to leave
  kill -s "$signal" "$pid"
  wait_gone 600 "$pid" || kill_component "$name"
  rm -f "$LOCAL/run/$name.pid"
}

# As a power cut would: the server and its workers at once, nothing flushed, nothing said. It is frozen first, so that
# it cannot start another worker between our looking and our killing.
kill_component() {
  local name=$1 pid all
  if pid=$(pid_of "$name"); then kill -STOP "$pid" 2>/dev/null || true; fi
  mapfile -t all < <(members_of "$name")
  if ((${#all[@]})); then
    kill -KILL "${all[@]}" 2>/dev/null || true
    wait_gone 100 "${all[@]}" || die "$name survives kill -9"
  fi
  rm -f "$LOCAL/run/$name.pid"
}

# --- Probes: an answer in the server's own protocol, not only an open port -----------------------------------------
ready_postgres() { PGCONNECT_TIMEOUT=2 "$(find_binary pg_isready)" -q -h 127.0.0.1 -p "$PG_PORT" -d postgres; }
ready_redis() {
  local reply
  { exec 3<>"/dev/tcp/127.0.0.1/$REDIS_PORT"; } 2>/dev/null || return 1
  printf 'PING\r\n' >&3
  IFS= read -r -t 2 reply <&3 || reply=
  exec 3<&-
  [[ $reply == +PONG* || $reply == -NOAUTH* ]]
}
ready_rabbitmq() { # the first byte of a Connection.Start frame is 1
  local byte
  { exec 3<>"/dev/tcp/127.0.0.1/$AMQP_PORT"; } 2>/dev/null || return 1
  printf 'AMQP\0\0\11\1' >&3
  IFS= read -r -t 2 -N 1 byte <&3 || byte=
  exec 3<&-
  [ "$byte" = $'\1' ]
}
ready_epmd() { port_busy "$EPMD_PORT"; }

start_component() {
  local name=$1 tenths=1800
  if running "$name" && "ready_$name"; then return; fi
  if ! running "$name"; then
    kill_component "$name" # workers that outlived a server killed by somebody else
    if port_busy "$(port_of "$name")"; then
      die "port $(port_of "$name") of $name is in use by another program (deploy/local/up takes another port)"
    fi
    [ -d "$DATA/$name" ] || own_dir "$DATA/$name"
    "start_$name"
  fi
  until "ready_$name"; do
    if ! running "$name" || ((tenths-- <= 0)); then
      tail -n 25 "$LOCAL/log/$name.log" >&2 || true
      die "$name does not come up; the lines above are the end of $LOCAL/log/$name.log"
    fi
    sleep 0.1
  done
}

start_postgres() {
  local dir=$DATA/postgres initdb
  if [ ! -f "$dir/PG_VERSION" ]; then
    initdb=$(find_binary initdb)
    say "postgres: initialising a cluster"
    printf '%s' "$POSTGRES_PASSWORD" | own_file "$DATA/pgpass"
    # Codes are ASCII: the collation C compares their bytes, which is as right and takes a fraction of the time.
    # The directory is emptied first: an initdb that was interrupted leaves one that the next refuses.
    rm -rf "$dir" && own_dir "$dir"
    (cd "$dir" && "${RUN_AS[@]}" "$initdb" -D "$dir" -U postgres --pwfile "$DATA/pgpass" --auth scram-sha-256 \
      --encoding UTF8 --locale C.UTF-8 --lc-collate C --no-instructions >>"$LOCAL/log/postgres.log" 2>&1) || {
      tail -n 15 "$LOCAL/log/postgres.log" >&2
      die "initdb failed"
    }
    rm -f "$DATA/pgpass"
  fi
  # Nobody stands in this directory any more, so a lock file is a dead server's. PostgreSQL itself would refuse as long
  # as the dead process is not reaped, which in a container can be for ever.
  rm -f "$dir/postmaster.pid"
  own_file "$dir/postgresql.conf" <"$HERE/postgresql.conf"
  spawn postgres "$(find_binary postgres)" -D "$dir" -p "$PG_PORT"
}

start_redis() {
  { cat "$HERE/redis.conf" && printf '%s\n' "port $REDIS_PORT" "dir $DATA/redis" "requirepass $REDIS_PASSWORD"; } |
    own_file "$DATA/redis/redis.conf"
  spawn redis "$(find_binary redis-server)" "$DATA/redis/redis.conf"
}

# Without this RabbitMQ would start an epmd that outlives it and that nobody owns.
start_epmd() { spawn epmd "$(find_binary epmd)" -port "$EPMD_PORT" -address 127.0.0.1; }

# The environment of the node and of its command line tools.
rabbitmq_env() {
  local dir=$DATA/rabbitmq
  printf '%s\n' "HOME=$dir" "LANG=C.UTF-8" "PATH=$(dirname "$(find_binary erl)"):/usr/bin:/bin" \
    RABBITMQ_NODENAME=oneshelf@localhost \
    "RABBITMQ_DIST_PORT=$DIST_PORT" "ERL_EPMD_PORT=$EPMD_PORT" ERL_EPMD_ADDRESS=127.0.0.1 \
    "RABBITMQ_CONF_ENV_FILE=$dir/none" "RABBITMQ_CONFIG_FILE=$dir/rabbitmq.conf" \
    "RABBITMQ_ADVANCED_CONFIG_FILE=$dir/none.config" "RABBITMQ_ENABLED_PLUGINS_FILE=$dir/enabled_plugins" \
    "RABBITMQ_MNESIA_BASE=$dir/mnesia" "RABBITMQ_LOG_BASE=$dir/log" "RABBITMQ_LOGS=-" \
    "RABBITMQ_PID_FILE=$dir/pid" "RABBITMQ_GENERATED_CONFIG_DIR=$dir/generated"
}
start_rabbitmq() {
  local dir=$DATA/rabbitmq env
  [ -f "$dir/.erlang.cookie" ] || { random_hex 16 | own_file "$dir/.erlang.cookie" && chmod 0400 "$dir/.erlang.cookie"; }
  echo '[].' | own_file "$dir/enabled_plugins"
  { cat "$HERE/rabbitmq.conf" && printf '%s\n' "listeners.tcp.local = 127.0.0.1:$AMQP_PORT" "default_pass = $RABBITMQ_PASSWORD"; } |
    own_file "$dir/rabbitmq.conf"
  mapfile -t env < <(rabbitmq_env)
  # Told that a supervisor is in charge, the script becomes the node instead of staying as its parent, so the process
  # that we signal is the node. Idle schedulers of Erlang spin by default; that time belongs to the services and tests.
  spawn rabbitmq env -i "${env[@]}" RUNNING_UNDER_SYSTEMD=true \
    "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false +sbwt none +sbwtdcpu none +sbwtdio none" \
    "$(find_rabbitmq rabbitmq-server)"
}

random_hex() { od -An -v -tx1 -N"$1" /dev/urandom | tr -d ' \n'; }

#!/usr/bin/env bash
# Three gateways, Redis and PostgreSQL as plain processes on this machine: cluster.sh up | down.
# Everything they write is in ./run, which down removes. POSTERN names the program, if it is not on the PATH;
# PORT is the first gateway's port (8080), from which the others are counted.
set -euo pipefail
cd "$(dirname "$0")"
postern=${POSTERN:-postern}
port=${PORT:-8080}
redis_port=$((port + 400)) postgres_port=$((port + 401))
gateways=(1 2 3)

fail() { printf '%s\n' "$@" >&2; exit 1; }

# as_user runs a program of PostgreSQL, which refuses to run as root.
as_user() { if [ "$(id -u)" = 0 ]; then setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups "$@"; else "$@"; fi; }
user=nobody

# environment of gateway N: its own folder and addresses beside what all share.
environment() {
  export DATABASE_URL="postgres://postern@127.0.0.1:$postgres_port/postern?sslmode=disable"
  export REDIS_URL="redis://127.0.0.1:$redis_port"
  export POSTERN_DATA_DIR="$PWD/run/node$1" POSTERN_NODE__ID="node$1"
  export POSTERN_LISTEN__GATEWAY="127.0.0.1:$((port + ($1 - 1) * 100))"
  export POSTERN_LISTEN__ADMIN="127.0.0.1:$((port + ($1 - 1) * 100 + 1))"
}

# wait_for runs a command until it succeeds, for half a minute at most.
wait_for() {
  for _ in $(seq 300); do
    if "${@:2}" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  fail "$1 did not come up; look into $PWD/run"
}

up() {
  [ ! -e run ] || fail "run is there already: cluster.sh down first"
  command -v "$postern" >/dev/null || fail "there is no $postern: build it (make build) and name it with POSTERN=…"
  local bin
  bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1)
  [ -n "$bin" ] || bin=$(dirname "$(command -v initdb || fail "PostgreSQL is not installed (Debian: postgresql)")")
  command -v redis-server >/dev/null || fail "redis-server is not installed (Debian: redis-server)"
  mkdir -m 0755 run
  mkdir -m 0700 run/redis run/postgres
  if [ "$(id -u)" = 0 ]; then chown "$user" run/postgres; fi

  redis-server --bind 127.0.0.1 --port "$redis_port" --dir "$PWD/run/redis" --daemonize yes \
    --pidfile "$PWD/run/redis/pid" --logfile "$PWD/run/redis/log" --appendonly yes --maxmemory-policy noeviction >/dev/null
  as_user "$bin/initdb" -D "$PWD/run/postgres/data" -U postern --auth=trust >run/initdb.log
  as_user "$bin/pg_ctl" -D "$PWD/run/postgres/data" -l "$PWD/run/postgres/log" -w -s \
    -o "-p $postgres_port -c listen_addresses=127.0.0.1 -c unix_socket_directories=''" start
  as_user "$bin/createdb" -h 127.0.0.1 -p "$postgres_port" -U postern postern
  wait_for redis redis-cli -p "$redis_port" ping

  for n in "${gateways[@]}"; do
    (
      environment "$n"
      if [ "$n" = 1 ]; then "$postern" init >run/init.txt; fi # secrets and tables, for all
      nohup "$postern" run >"run/node$n.log" 2>&1 &
      echo $! >"run/node$n.pid"
    )
  done
  for n in "${gateways[@]}"; do
    wait_for "gateway $n" sh -c "curl -fs http://127.0.0.1:$((port + (n - 1) * 100 + 1))/readyz"
  done
  printf 'Gateways: %s\n' "$(for n in "${gateways[@]}"; do printf 'http://127.0.0.1:%s ' $((port + (n - 1) * 100)); done)"
  printf 'Admin API: http://127.0.0.1:%s; for the postern command: export POSTERN_ADMIN_URL=http://127.0.0.1:%s POSTERN_ADMIN_TOKEN=%s\n' \
    $((port + 1)) $((port + 1)) "$(jq -r .token run/node1/profile.json 2>/dev/null || echo '…')"
}

down() {
  for n in "${gateways[@]}"; do
    if [ -e "run/node$n.pid" ]; then kill "$(cat "run/node$n.pid")" 2>/dev/null || true; fi
  done
  for n in "${gateways[@]}"; do
    if [ -e "run/node$n.pid" ]; then while kill -0 "$(cat "run/node$n.pid")" 2>/dev/null; do sleep 0.1; done; fi
  done
  if [ -e run/redis/pid ]; then kill "$(cat run/redis/pid)" 2>/dev/null || true; fi
  if [ -e run/postgres/data/postmaster.pid ]; then kill -INT "$(head -1 run/postgres/data/postmaster.pid)" 2>/dev/null || true; fi
  while [ -e run/postgres/data/postmaster.pid ]; do sleep 0.1; done
  rm -rf run
}

case "${1:-}" in
  up) up ;;
  down) down ;;
  *) fail "usage: cluster.sh up | down" ;;
esac

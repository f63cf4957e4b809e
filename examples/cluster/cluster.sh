#!/usr/bin/env bash
# Three gateways, Redis and PostgreSQL as plain processes on this machine; README.md walks through it.
#
#   cluster.sh up | down           all of it; down leaves nothing behind
#   cluster.sh stop|start NAME     one of node1, node2, node3, redis, postgres
#
# POSTERN names the program, if it is not on the PATH. PORT is the first gateway's port (8080); the others
# are counted from it. What is written goes into ./run. Needs Linux, Redis 7 and PostgreSQL 13 or later.
set -euo pipefail
umask 077
here=$(cd -P "$(dirname "$0")" && pwd)
cd "$here"
postern=${POSTERN:-postern}
port=${PORT:-8080}
redis_port=$((port + 400)) postgres_port=$((port + 401))
nodes=(node1 node2 node3)

fail() { printf '%s\n' "$@" >&2; exit 1; }

# gateway_port of node1 is PORT, of node2 a hundred more; the admin API listens on the next port.
gateway_port() { echo $((port + (${1#node} - 1) * 100)); }

# as_postgres runs a program of PostgreSQL, which refuses to run as root.
as_postgres() {
  if [ "$(id -u)" != 0 ]; then "$@"; return; fi
  (cd / && setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups -- "$@")
}
user=$(id -un postgres 2>/dev/null || echo nobody)

# environment of a gateway: its own folder and addresses beside what all share.
environment() {
  export DATABASE_URL="postgres://postern:$(cat run/password)@127.0.0.1:$postgres_port/postern?sslmode=disable"
  export REDIS_URL="redis://:$(cat run/password)@127.0.0.1:$redis_port"
  export POSTERN_DATA_DIR="$here/run/$1" POSTERN_NODE__ID="$1"
  export POSTERN_LISTEN__GATEWAY="127.0.0.1:$(gateway_port "$1")"
  export POSTERN_LISTEN__ADMIN="127.0.0.1:$(($(gateway_port "$1") + 1))"
}

# folder that a process runs in, or below: by it a pid is known to be still its own, and not another's by now.
folder() { if [ "$1" = postgres ]; then readlink -f run/postgres/data; else echo "$here"; fi; }
pid_file() { if [ "$1" = postgres ]; then echo run/postgres/data/postmaster.pid; else echo "run/$1.pid"; fi; }

# running prints the pid of a part that runs.
running() {
  local pid at
  pid=$(head -1 "$(pid_file "$1")" 2>/dev/null) && [ -n "$pid" ] || return 1
  at=$(readlink "/proc/$pid/cwd" 2>/dev/null) || return 1
  case "$at/" in "$(folder "$1")"/*) echo "$pid" ;; *) return 1 ;; esac
}

# wait_for NAME COMMAND…: until the command succeeds, a minute at most, and no longer than NAME runs.
wait_for() {
  for _ in $(seq 600); do
    if "${@:2}" >/dev/null 2>&1; then return; fi
    running "$1" >/dev/null || break
    sleep 0.1
  done
  tail -5 "run/$1.log" >&2 || true
  fail "$1 did not come up"
}

start() {
  if running "$1" >/dev/null; then return; fi
  case "$1" in
    redis)
      setsid redis-server run/redis.conf >>run/redis.log 2>&1 </dev/null &
      echo $! >run/redis.pid
      # It answers only who has the password, so this is no other Redis.
      REDISCLI_AUTH=$(cat run/password) wait_for redis sh -c "redis-cli -p $redis_port ping | grep -q PONG"
      ;;
    postgres)
      as_postgres "$bin/pg_ctl" -D "$(folder postgres)" -l "$(folder postgres)/log" -w -s \
        -o "-p $postgres_port -c listen_addresses=127.0.0.1 -c unix_socket_directories=''" start ||
        { tail -5 run/postgres/data/log >&2 || true; fail "postgres did not come up"; }
      ;;
    node*)
      environment "$1"
      setsid "$postern" run >>"run/$1.log" 2>&1 </dev/null &
      echo $! >"run/$1.pid"
      wait_for "$1" "$postern" health
      ;;
  esac
}

# signal tells parts to end; gone waits until they have. A gateway drains first.
signal() {
  local pid
  for name in "$@"; do
    if pid=$(running "$name"); then
      kill "-$([ "$name" = postgres ] && echo INT || echo TERM)" "$pid" 2>/dev/null || true
    fi
  done
}
gone() {
  local pid
  for name in "$@"; do
    for _ in $(seq 600); do
      running "$name" >/dev/null || continue 2
      sleep 0.1
    done
    if pid=$(running "$name"); then
      printf '%s does not end, and is killed\n' "$name" >&2
      kill -KILL "$pid" 2>/dev/null || true
      while running "$name" >/dev/null; do sleep 0.1; done
    fi
  done
}

up() {
  command -v "$postern" >/dev/null || fail "there is no $postern: build it (make build) and name it with POSTERN=…"
  command -v redis-server >/dev/null || fail "redis-server is not installed (Debian: redis-server)"
  command -v curl >/dev/null || fail "curl is not installed (Debian: curl)"
  for p in $(for n in "${nodes[@]}"; do gateway_port "$n"; echo $(($(gateway_port "$n") + 1)); done) "$redis_port" "$postgres_port"; do
    if (: </dev/tcp/127.0.0.1/"$p") 2>/dev/null; then fail "port $p is taken: name another first port with PORT=…"; fi
  done
  mkdir run 2>/dev/null || fail "run is there already: cluster.sh down first"
  trap 'trap - EXIT; down; echo "nothing was left behind" >&2' EXIT # until all of it runs
  trap 'exit 130' INT TERM HUP

  head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >run/password
  mkdir run/redis
  cat >run/redis.conf <<EOF
bind 127.0.0.1
port $redis_port
requirepass $(cat run/password)
dir "$here/run/redis"
appendonly yes
maxmemory-policy noeviction
EOF
  start redis

  if [ "$(id -u)" = 0 ]; then # in a folder that the other user can reach
    ln -s "$(mktemp -d "${TMPDIR:-/tmp}/postern-cluster.XXXXXXXX")" run/postgres
    cp run/password run/postgres/password
    chown -R -H "$user" run/postgres
  else
    mkdir run/postgres
    cp run/password run/postgres/password
  fi
  local place
  place=$(readlink -f run/postgres)
  as_postgres "$bin/initdb" -D "$place/data" -U postern --auth=scram-sha-256 --pwfile="$place/password" >run/initdb.log
  start postgres
  PGPASSWORD=$(cat run/password) as_postgres "$bin/createdb" -h 127.0.0.1 -p "$postgres_port" -U postern postern

  (environment node1 && "$postern" init >run/init.txt 2>&1) || { cat run/init.txt >&2; exit 1; } # secrets and tables, for all
  for n in "${nodes[@]}"; do (start "$n"); done
  for n in "${nodes[@]}"; do # until each reckons with the others
    wait_for "$n" sh -c "curl -fs http://127.0.0.1:$(($(gateway_port "$n") + 1))/metrics | grep -q '^postern_limiter_sharing_gateways ${#nodes[@]}\$'"
  done
  trap - EXIT
  printf 'Gateways   %s\n' "$(for n in "${nodes[@]}"; do printf 'http://127.0.0.1:%s ' "$(gateway_port "$n")"; done)"
  printf 'Admin API  http://127.0.0.1:%s, which postern commands in this folder find\n' $((port + 1))
}

down() {
  if [ ! -e run ]; then return; fi
  signal "${nodes[@]}" && gone "${nodes[@]}"
  signal redis postgres && gone redis postgres
  if [ -L run/postgres ]; then rm -rf "$(readlink run/postgres)"; fi
  rm -rf run
}

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
[ -n "$bin" ] || bin=$(dirname "$(command -v initdb)") || fail "PostgreSQL is not installed (Debian: postgresql)"

case "${1:-} ${2:-}" in
  "up "|"down ") "$1" ;;
  "start "node[123]|"start redis"|"start postgres"|"stop "node[123]|"stop redis"|"stop postgres")
    [ -e run/init.txt ] || fail "nothing is up: cluster.sh up first"
    if [ "$1" = start ]; then start "$2"; else signal "$2" && gone "$2"; fi
    ;;
  *) fail "usage: cluster.sh up | down | stop NAME | start NAME, with NAME one of ${nodes[*]} redis postgres" ;;
esac

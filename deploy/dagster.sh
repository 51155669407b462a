#!/bin/sh
# Dagster's three processes on one machine: code server, daemon and web server. They compute nothing; runs are Ray jobs.
# Needs what dagster.yaml names, CALIB_STUDY and CALIB_STORE. Ends when one of the three ends, or is told to, with all.
set -eu
here="$(cd "$(dirname "$0")" && pwd)"
export DAGSTER_HOME="${DAGSTER_HOME:-$here}"
export CALIB_CODE_HOST="${CALIB_CODE_HOST:-127.0.0.1}" CALIB_CODE_PORT="${CALIB_CODE_PORT:-4000}"
dagster api grpc --module-name calib_assets.definitions --host "$CALIB_CODE_HOST" --port "$CALIB_CODE_PORT" &
code=$!
trap 'kill "$code" 2>/dev/null || true' EXIT
until dagster api grpc-health-check --host "$CALIB_CODE_HOST" --port "$CALIB_CODE_PORT" 2>/dev/null; do
  kill -0 "$code" || exit 1  # it has said why it ended
  sleep 1
done
dagster-daemon run --workspace "$here/workspace.yaml" &
daemon=$!
# Whoever reaches the page can launch runs: bind it to an inner address, and put a proxy that knows people before it.
dagster-webserver --workspace "$here/workspace.yaml" --host "${CALIB_WEB_HOST:-127.0.0.1}" --port "${CALIB_WEB_PORT:-3000}" &
web=$!
trap 'kill "$code" "$daemon" "$web" 2>/dev/null || true; wait' EXIT
trap 'exit 143' INT TERM
while kill -0 "$code" 2>/dev/null && kill -0 "$daemon" 2>/dev/null && kill -0 "$web" 2>/dev/null; do
  sleep 2 &
  wait $! || true
done
exit 1

#!/bin/sh
# One more machine for Ray, in the same environment and with the same secrets as the head:
#   deploy/ray-worker.sh HEAD:6379 [options of `ray start`]
set -eu
head="$1"
shift
exec ray start --address "$head" --block --disable-usage-stats "$@"

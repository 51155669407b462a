#!/bin/sh
# Ray's head, in the environment that has calib-assets and its extra `cluster` (the runs' PATH and secrets are this
# shell's): deploy/ray-head.sh [options of `ray start`]
set -eu
# A run may wait long for a free place; Ray gives up after 15 minutes otherwise.
export RAY_JOB_START_TIMEOUT_SECONDS="${RAY_JOB_START_TIMEOUT_SECONDS:-86400}"
exec ray start --head --block --disable-usage-stats "$@"

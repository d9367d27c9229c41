#!/bin/sh
# The whole suite: sets up like ./skiff does, then runs every test, or those named as arguments.
set -u
here=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cd "$here" || exit 1
sh scripts/setup.sh || exit 1
if [ $# -eq 0 ]; then set -- ./src ./tests; fi
exec .cache/bun test --timeout 120000 "$@"

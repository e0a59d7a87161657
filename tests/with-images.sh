#!/usr/bin/env bash
# Puts images on the running cluster, then runs a command: with-images.sh DIRECTORY COMMAND...
set -euo pipefail
directory=$1
shift
"$(dirname "$0")/../target/debug/cluster" load-image "$directory"/*.tar
exec "$@"

#!/usr/bin/env bash
# Puts images on the running cluster, then runs a command: with-images.sh DIRECTORY COMMAND...
set -euo pipefail
directory=$1
shift
if [ "$CLUSTER_PROVIDER" != kubeconfig ]; then
  "$(dirname "$0")/../target/debug/cluster" load-image "$directory"/*.tar
elif [ "${IMAGES_LOADED:-}" != 1 ]; then
  echo "Put the images $directory/*.tar on the nodes of your cluster by its own means, such as \`minikube image load\`" \
    "or \`k3s ctr images import\`; then run this again with IMAGES_LOADED=1." >&2
  exit 1
fi
exec "$@"

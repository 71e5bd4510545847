#!/usr/bin/env bash
# Train an experiment on several GPUs of this machine, with one process per GPU:
#
#   bash scripts/torchrun.sh 4 experiments/graphs.yaml training.seed=1
#
# The same command continues an interrupted run.
set -euo pipefail
cd "$(dirname "$0")/.."
devices=${1:-1}
experiment=${2:-experiments/graphs.yaml}
exec torchrun --standalone --nproc-per-node="$devices" --module \
  xlmgen train "$experiment" training.devices="$devices" "${@:3}"

#!/usr/bin/env bash
# Trains an experiment on several GPUs of this machine, one process for each:
#
#   bash scripts/torchrun.sh 4 experiments/graphs.yaml training.seed=1
#
# The same command continues a run that was stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
devices=${1:-1}
experiment=${2:-experiments/graphs.yaml}
exec torchrun --standalone --nproc-per-node="$devices" --module \
  xlmgen train "$experiment" training.devices="$devices" "${@:3}"

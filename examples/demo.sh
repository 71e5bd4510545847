#!/usr/bin/env bash
# Renders a family that is not one of the shipped ones, trains it on small star graphs
# and shows what it generates. Everything it writes is under demo/.
set -euo pipefail
cd "$(dirname "$0")/.."
xlmgen=$PWD/.venv/bin/xlmgen
mkdir -p demo
rm -rf demo/run # the last demo's; the rendered family stays
cp examples/scout.yaml demo/scout.yaml
cd demo
"$xlmgen" new scout.yaml
# A hundred answers may be right by luck; a small loss beside them is not.
"$xlmgen" train families/scout/experiments/star_tiny.yaml --run-dir run \
  'training.stop_when={val/exact_match: 0.99, val/loss: 0.005}'
"$xlmgen" generate run --num 4 --trace
"$xlmgen" eval run

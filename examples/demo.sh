#!/usr/bin/env bash
# Render a family that is not a reference family, train it on small star graphs and show
# generated answers. All files are written to demo/.
set -euo pipefail
cd "$(dirname "$0")/.."
xlmgen=$PWD/.venv/bin/xlmgen
mkdir -p demo
rm -rf demo/run # of the last demo; the rendered family stays
cp examples/scout.yaml demo/scout.yaml
cd demo
"$xlmgen" new scout.yaml
# 99 of 100 right answers can be luck; together with a small loss they are not.
"$xlmgen" train families/scout/experiments/star_tiny.yaml --run-dir run \
  'training.stop_when={val/exact_match: 0.99, val/loss: 0.005}'
"$xlmgen" generate run --num 4 --trace
"$xlmgen" eval run

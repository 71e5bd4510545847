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
"$xlmgen" train families/scout/experiments/star_tiny.yaml --run-dir run
"$xlmgen" generate run --num 4 --trace
"$xlmgen" eval run

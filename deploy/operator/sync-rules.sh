#!/bin/sh
# Copies deploy/prometheus/*.rules.yaml to where Kubernetes needs them: as PrometheusRule objects in this folder, and into
# the chart, which may only read files of its own. Run it after a change of the rules; a test says when it was forgotten.
#
#   sync-rules.sh [FOLDER]      writes to FOLDER instead of deploy/
set -eu
deploy=$(cd "$(dirname "$0")/.." && pwd)
to=${1:-$deploy}
mkdir -p "$to/operator" "$to/helm/claw/files"

for name in claw claw-self; do
  rules=$deploy/prometheus/$name.rules.yaml
  cp "$rules" "$to/helm/claw/files/$name.rules.yaml"
  {
    echo "# Made by sync-rules.sh from deploy/prometheus/$name.rules.yaml; change that file instead."
    echo 'apiVersion: monitoring.coreos.com/v1'
    echo 'kind: PrometheusRule'
    echo 'metadata:'
    echo "  name: $name"
    echo '  # what the Prometheus object selects by (ruleSelector), if it does'
    echo '  labels: { release: kube-prometheus-stack }'
    echo 'spec:'
    sed -e '1,/^groups:/d' -e 's/^\(.\)/  \1/' "$rules" | sed -e '1i\  groups:'
  } >"$to/operator/$name.prometheusrule.yaml"
done

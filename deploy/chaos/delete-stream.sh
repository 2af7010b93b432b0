#!/usr/bin/env bash
# Deletes a JetStream stream of a region. Runbook: docs/runbooks/delete-stream.md
SCENARIO=delete-stream
SUMMARY="Delete a stream of a region's NATS while the region runs, as a mistaken hand would."
ARGUMENTS='<region>'
DETAILS='The region makes it anew and publishes what it holds; into windows, what the database does not have.'
OPTIONS_HELP='  --stream-kind <kind> log (default), journal or windows
'
FOR=5s
KIND=log
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

own_option() {
  [[ $1 == --stream-kind && $2 =~ ^(log|journal|windows)$ ]] || return
  KIND=$2
}

fault_dev() { chaos delete-stream "$1" "$KIND"; }
heal_dev() { :; }

needs_linux() { need "$1" topology; }
fault_linux() { on "$1" "$(setting "$1" ovation ovation) chaos delete-stream $1 $KIND --topology '$(setting "$1" topology)'"; }
heal_linux() { :; }

fault_kubernetes() {
  on here "$(kube "$1") exec $(workload "$1" region) -- $(setting "$1" ovation ovation) chaos delete-stream $1 $KIND --topology '$(setting "$1" topology /etc/ovation/topology.json)'"
}
heal_kubernetes() { :; }

scenario "$@"

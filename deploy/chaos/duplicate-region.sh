#!/usr/bin/env bash
# Runs two processes with one identity. Runbook: docs/runbooks/duplicate-region.md
SCENARIO=duplicate-region
SUMMARY='Start a second process of a region, with the same identity, and end it again.'
ARGUMENTS='<region>'
DETAILS='One of them goes on, the other one is refused its next write, acknowledges nothing more and ends. What supervises a region then starts
it again. On Linux <region>.region.duplicate is the command of the second one, on ports of its own.'
FOR=30s
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

fault_dev() { chaos duplicate "$1"; }
heal_dev() { chaos resume "$1"; }

PIDFILE=/run/ovation-chaos-duplicate.pid
needs_linux() { need "$1" region.duplicate && need_start "$1" region; }
fault_linux() {
  on "$1" "setsid bash -c $(printf %q "echo \$\$ >$PIDFILE; exec $(setting "$1" region.duplicate)") </dev/null >/dev/null 2>&1 &"
}
heal_linux() {
  local failed=0
  on "$1" "if [ -f $PIDFILE ]; then kill \"\$(cat $PIDFILE)\" 2>/dev/null || true; rm -f $PIDFILE; fi" || failed=1
  start_process "$1" region || failed=1
  return $failed
}

fault_kubernetes() { scale "$1" region 2; }
heal_kubernetes() { scale_to_one "$1" region; }

scenario "$@"

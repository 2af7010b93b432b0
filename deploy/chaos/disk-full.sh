#!/usr/bin/env bash
# Fills the disk of a region's NATS. Runbook: docs/runbooks/disk-full.md
SCENARIO=disk-full
SUMMARY="Fill the file system that a region's nats-server keeps its data on, and make room again."
ARGUMENTS='<region>'
DETAILS='The region acknowledges nothing that it cannot keep, and answers 503 after its bound. Refused where the data is on the file system of /,
of the temporary files or of the node, which others need: a dev needs --data on a file system of its own, such as a small tmpfs. nats-server
does not try again by itself, so healing makes room and restarts it.'
FOR=15s
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
. "$HERE/nats-data.sh"

BALLAST=ovation-chaos-ballast
# On Kubernetes /etc/hosts is on the disk of the node, as a volume may be that is no file system of its own.
FILL="for other in / /tmp /etc/hosts; do
  [ \"\$(stat -c %d .)\" != \"\$(stat -c %d \$other)\" ] || { echo \"the data is on the file system of \$other, which others need\" >&2; exit 4; }
done
dd if=/dev/zero of=$BALLAST bs=1M 2>/dev/null || true
dd if=/dev/zero of=$BALLAST.rest bs=512 2>/dev/null || true
df . >&2"
CLEAR="rm -f $BALLAST $BALLAST.rest"

needs_linux() { need_start "$1" nats && need "$1" nats.data; }

fault_dev() { on here "cd '$(data_folder "$1")'; $FILL"; }
fault_linux() { on "$1" "cd '$(data_folder "$1")'; $FILL"; }
fault_kubernetes() { on here "$(kube "$1") exec $(workload "$1" nats) -- sh -c $(printf %q "cd /data; $FILL")"; }

restart() {
  nats_stop "$1"
  nats_start "$1"
}
heal_dev() {
  on here "cd '$(data_folder "$1")'; $CLEAR"
  restart "$1"
}
heal_linux() {
  on "$1" "cd '$(data_folder "$1")'; $CLEAR"
  restart "$1"
}
heal_kubernetes() {
  on here "$(kube "$1") exec $(workload "$1" nats) -- sh -c 'cd /data; $CLEAR'"
  restart "$1"
}

scenario "$@"

#!/usr/bin/env bash
# Fills the disk of a region's NATS. Runbook: docs/runbooks/disk-full.md
SCENARIO=disk-full
SUMMARY="Fill the file system that a region's nats-server keeps its data on, and make room again."
ARGUMENTS='<region>'
DETAILS='The region acknowledges nothing that it cannot keep, and answers 503 after its bound. Refused where the data is on the file system of /,
of the temporary files, of the node or of another region, which others need: in a dev, <data>/regions/<region>/nats must be a file system of
its own, such as a small tmpfs that is mounted before it starts. nats-server does not try again by itself, so healing makes room and restarts it.'
FOR=15s
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
. "$HERE/nats-data.sh"

BALLAST=ovation-chaos-ballast
# It may go on where it runs after the script was interrupted, so that it leaves its number, and the heal ends it first.
# On Kubernetes /etc/hosts is on the disk of the node, as a volume may be that is no file system of its own.
fill() { # OTHER…: a text for sh
  cat <<FILL
for other in / /tmp /etc/hosts $*; do
  [ "\$(stat -c %d .)" != "\$(stat -c %d "\$other")" ] || { echo "the data is on the file system of \$other, which others need" >&2; exit 4; }
done
sh -c 'echo \$\$ >$BALLAST.pid; exec dd if=/dev/zero of=$BALLAST bs=64k' 2>/dev/null || true
df . >&2
FILL
}
CLEAR="if [ -s $BALLAST.pid ]; then
  pid=\$(cat $BALLAST.pid)
  if grep -qx dd /proc/\$pid/comm 2>/dev/null; then kill -9 \$pid || true; fi
fi
rm -f $BALLAST $BALLAST.pid"

needs_linux() { need_start "$1" nats && need "$1" nats.data; }

fault_dev() {
  local region others=()
  for region in "${REGIONS[@]}"; do
    [[ $region == "$1" ]] || others+=("$(printf %q "$(data_folder "$region")")")
  done
  on here "cd '$(data_folder "$1")'; $(fill "${others[@]}")"
}
fault_linux() { on "$1" "cd '$(data_folder "$1")'; $(fill)"; }
fault_kubernetes() { on here "$(kube "$1") exec $(workload "$1" nats) -- sh -c $(printf %q "cd /data; $(fill)")"; }

clear_dev() { on here "cd '$(data_folder "$1")'; $CLEAR"; }
clear_linux() { on "$1" "cd '$(data_folder "$1")'; $CLEAR"; }
clear_kubernetes() { on here "$(kube "$1") exec $(workload "$1" nats) -- sh -c $(printf %q "cd /data; $CLEAR")"; }

heal() {
  local failed=0
  act clear || failed=1
  nats_stop "$1" || failed=1
  nats_start "$1" || failed=1
  return $failed
}

scenario "$@"

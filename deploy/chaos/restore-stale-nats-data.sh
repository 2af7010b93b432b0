#!/usr/bin/env bash
# Puts an older state of a NATS' data back. Runbook: docs/runbooks/restore-stale-nats-data.md
SCENARIO=restore-stale-nats-data
SUMMARY="Copy the data of a region's nats-server, let taps go on, and put the old state back, as from a backup."
ARGUMENTS='<region>'
DETAILS='The region sees that its log and journal went back, and writes again what they lack; windows that were stored since come a
second time, and change nothing; those that the old state lacks and the database, too, are queued again. Taps go on for --for between
copy and return. Interrupted before the return, it leaves the data as it is, and takes the copy away.'
FOR=10s
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
. "$HERE/nats-data.sh"

needs_linux() { need_start "$1" nats && need "$1" nats.data; }

# A copy has its name only once it is whole, and what was there goes only once the copy is in its place.
PARTS='jetstream.chaos-part jetstream.chaos-copy jetstream.chaos-newer'
COPY="rm -rf $PARTS; cp -a jetstream jetstream.chaos-part; mv jetstream.chaos-part jetstream.chaos-copy"
PUT_BACK='mv jetstream jetstream.chaos-newer; mv jetstream.chaos-copy jetstream; rm -rf jetstream.chaos-newer'
TIDY="[ -d jetstream ] || mv jetstream.chaos-newer jetstream; rm -rf $PARTS"
IS_TIDY=false

fault() { with_nats_stopped "$1" "$COPY"; }
late_fault() {
  with_nats_stopped "$1" "$PUT_BACK"
  IS_TIDY=true
}
heal() { if $IS_TIDY; then nats_start "$1"; else with_nats_stopped "$1" "$TIDY"; fi; }

scenario "$@"

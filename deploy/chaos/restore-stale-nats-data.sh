#!/usr/bin/env bash
# Puts an older state of a NATS' data back. Runbook: docs/runbooks/restore-stale-nats-data.md
SCENARIO=restore-stale-nats-data
SUMMARY="Copy the data of a region's nats-server, let taps go on, and put the old state back, as from a backup."
ARGUMENTS='<region>'
DETAILS='The region sees that its log and journal went back, and writes again what they lack; windows that were stored since come a
second time, and change nothing; those that waited for the database are lost, and told. Taps go on for --for between copy and return.'
FOR=10s
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
. "$HERE/nats-data.sh"

needs_linux() { need_start "$1" nats && need "$1" nats.data; }

fault() { with_nats_stopped "$1" 'rm -rf jetstream.chaos; cp -a jetstream jetstream.chaos'; }
# Healing is the fault itself: a state that is older is put in the place of the newer one.
heal() { with_nats_stopped "$1" 'if [ -d jetstream.chaos ]; then rm -rf jetstream; mv jetstream.chaos jetstream; fi'; }

scenario "$@"

#!/usr/bin/env bash
# Empties the data folder of a region's NATS. Runbook: docs/runbooks/wipe-nats-data.md
SCENARIO=wipe-nats-data
SUMMARY="Stop a region's nats-server, take all of its data away, and start it empty, while the region runs."
ARGUMENTS='<region>'
DETAILS='As after the loss of a disk. The region writes log and journal again from what it holds, and queues again
what the database does not have. The data from before is set aside as jetstream.chaos beside it.'
FOR=5s
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
. "$HERE/nats-data.sh"

needs_linux() { need_start "$1" nats && need "$1" nats.data; }

fault() { with_nats_stopped "$1" 'rm -rf jetstream.chaos; mv jetstream jetstream.chaos'; }
heal() { nats_start "$1"; }

scenario "$@"
say "$SCENARIO: the data from before is in $(data_folder "${ARGS[0]}")/jetstream.chaos; remove it when you do not need it"

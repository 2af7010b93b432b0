#!/usr/bin/env bash
# Stops the database of windows. Runbook: docs/runbooks/stop-database.md
SCENARIO=stop-database
SUMMARY='Stop the database of windows, and start it again.'
ARGUMENTS=''
DETAILS='Taps go on; windows wait in the queue and are stored afterwards. On Kubernetes the database must be a workload of the cluster
(database.workload, by default statefulset/ovation-postgres): one that runs elsewhere is stopped where it runs.'
FOR=60s
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

fault_dev() { chaos stop database; }
heal_dev() { chaos start database; }

needs_linux() { need_start database database; }
fault_linux() { stop_process database database; }
heal_linux() { start_process database database; }

fault_kubernetes() { scale_to_none database database; }
heal_kubernetes() { scale_to_one database database; }

scenario "$@"

#!/usr/bin/env bash
# Stops a region's process where it stands. Runbook: docs/runbooks/pause-region.md
SCENARIO=pause-region
SUMMARY="Pause a region's process with SIGSTOP, and let it go on with SIGCONT."
ARGUMENTS='<region>'
DETAILS='It holds its connections and answers nothing, as a machine that swaps or a virtual machine that is moved. On Kubernetes node must
not be process 1 of its container, which no signal stops: run it under an init such as tini. A liveness probe that fails for long enough
restarts the container, which is then the heal.'
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

fault_dev() { chaos pause "$1"; }
heal_dev() { chaos resume "$1"; }

needs_linux() { need_process "$1" region; }
fault_linux() { signal_process "$1" region STOP; }
heal_linux() { signal_process "$1" region CONT; }

fault_kubernetes() { signal_node "$1" STOP; }
heal_kubernetes() { signal_node "$1" CONT; }

scenario "$@"

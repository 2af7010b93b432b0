#!/usr/bin/env bash
# Kills a region's process. Runbook: docs/runbooks/kill-region.md
SCENARIO=kill-region
SUMMARY="Kill a region's process with SIGKILL; what supervises it starts it again."
ARGUMENTS='<region>'
DETAILS='Its viewers resend what was not acknowledged. On Kubernetes node must not be process 1 of its
container, which no signal from inside kills: run it under an init such as tini.
It is waited for so long (--for) before it is started by hand, should nobody have done so.'
FOR=10s
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

needs_linux() { need_start "$1" region; }
fault() { kill_process "$1" region; }
heal() { bring_back "$1" region; }

scenario "$@"

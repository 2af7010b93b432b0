#!/usr/bin/env bash
# Kills a region's nats-server. Runbook: docs/runbooks/kill-nats.md
SCENARIO=kill-nats
SUMMARY="Kill a region's nats-server with SIGKILL; what supervises it starts it again."
ARGUMENTS='<region>'
DETAILS='Nothing is acknowledged in the region until it is back; clients keep and resend. It is waited for so long (--for) before it is
started by hand, should nobody have done so. On Kubernetes the pod is deleted by force, which may leave it two
seconds to end in order.'
FOR=10s
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

needs_linux() { need_start "$1" nats; }
fault() { kill_process "$1" nats; }
heal() { bring_back "$1" nats; }

scenario "$@"

#!/usr/bin/env bash
# Loses what one region sends to another. Runbook: docs/runbooks/half-open-link.md
SCENARIO=half-open-link
SUMMARY='Lose what one region sends to another, while what the other sends arrives.'
ARGUMENTS='<from> <to>'
DETAILS='No connection is reset: who waits for an answer must find out by itself that none will come.
On Kubernetes a debug container in the pods of <to> drops the packets of <from>.address, or of its pods and services where none is set;
its image (*.tools.image) needs nft.'
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
. "$HERE/pod-network.sh"

fault_dev() { chaos half-open "$1" "$2"; }
heal_dev() { chaos heal "$1" "$2"; }

needs_linux() { need "$1" address; }
fault_linux() { nft_drop "$2" "$1" in; }
heal_linux() { nft_heal "$2"; }

fault_kubernetes() {
  local text
  text=$(drop_from "$1")
  in_pods "$2" "$text"
}
heal_kubernetes() { drop_nothing "$2"; }

scenario "$@"

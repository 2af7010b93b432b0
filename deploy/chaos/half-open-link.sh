#!/usr/bin/env bash
# Loses what one region sends to another. Runbook: docs/runbooks/half-open-link.md
SCENARIO=half-open-link
SUMMARY='Lose what one region sends to another, while what the other sends arrives.'
ARGUMENTS='<from> <to>'
DETAILS='No connection is reset: who waits for an answer must find out by itself that none will come.
On Kubernetes a debug container in the pods of <to> drops the packets of <from>.address; its image (*.tools.image) needs nft.'
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
. "$HERE/pod-network.sh"

fault_dev() { chaos half-open "$1" "$2"; }
heal_dev() { chaos heal "$1" "$2"; }

needs_linux() { need "$1" address; }
fault_linux() { nft_drop "$2" "$1" in; }
heal_linux() { nft_heal "$2"; }

needs_kubernetes() { need "$1" address; }
fault_kubernetes() {
  local address
  address=$(address_of "$1")
  in_pods "$2" "nft add table inet $(nft_table)
nft add chain inet $(nft_table) in '{ type filter hook input priority -300; }'
nft add rule inet $(nft_table) in $(family_of "$address") saddr $address drop"
}
heal_kubernetes() { in_pods "$2" "nft delete table inet $(nft_table) || true"; }

scenario "$@"

#!/usr/bin/env bash
# Loses packets between two regions. Runbook: docs/runbooks/lossy-link.md
SCENARIO=lossy-link
SUMMARY='Lose packets between two regions, by chance, both ways.'
ARGUMENTS='<region> <other>'
DETAILS='On Linux and Kubernetes nft drops them as they come in. The links of a dev are proxies: what would be lost is held back there
until TCP would have sent it again.'
OPTIONS_HELP='  --loss <percent>     how many are lost, each way (default 10)
'
LOSS=10
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
. "$HERE/pod-network.sh"

own_option() { [[ $1 == --loss && $2 =~ ^[1-9][0-9]?%?$ ]] && LOSS=${2%\%}; }

fault_dev() { chaos lose "$1" "$2" "$LOSS%"; }
heal_dev() { chaos heal "$1" "$2"; }

needs_linux() { need "$1" address && need "$2" address; }
fault_linux() {
  nft_drop "$1" "$2" in "numgen random mod 100 < $LOSS "
  nft_drop "$2" "$1" in "numgen random mod 100 < $LOSS "
}
heal_linux() { each nft_heal "$1" "$2"; }

fault_kubernetes() {
  local first second
  first=$(drop_from "$2" "numgen random mod 100 '<' $LOSS ")
  second=$(drop_from "$1" "numgen random mod 100 '<' $LOSS ")
  in_pods "$1" "$first"
  in_pods "$2" "$second"
}
heal_kubernetes() { each drop_nothing "$1" "$2"; }

scenario "$@"

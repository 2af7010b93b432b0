#!/usr/bin/env bash
# Makes the link between two regions slower. Runbook: docs/runbooks/slow-link.md
SCENARIO=slow-link
SUMMARY='Make the round trip between two regions longer.'
ARGUMENTS='<region> <other>'
DETAILS='Half of the delay is added each way. On Linux and Kubernetes tc and netem of the kernel do it; the interface must have its
usual queue, which it gets back afterwards.'
OPTIONS_HELP='  --delay <duration>   what a round trip takes longer (default 150ms)
'
DELAY=150ms
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
. "$HERE/pod-network.sh"

own_option() { [[ $1 == --delay ]] && in_seconds "$2" >/dev/null && DELAY=$2; }
half_ms() { awk "BEGIN { printf \"%.1f\", $(in_seconds "$DELAY") * 500 }"; }

fault_dev() { chaos delay "$1" "$2" "$(half_ms)ms"; }
heal_dev() { chaos heal "$1" "$2"; }

slow() { # INTERFACE ADDRESS…: a text for sh; only what goes to these addresses is held back
  local address
  cat <<TC
command -v tc >/dev/null || { echo 'tc is missing: apt-get install iproute2' >&2; exit 4; }
case "\$(tc qdisc show dev $1 root)" in
  ''|*noqueue*|*pfifo_fast*|*fq_codel*|*'qdisc fq '*|*'qdisc mq '*) ;;
  *) echo '$1 has a queue of its own, which would be lost: tc qdisc show dev $1' >&2; exit 4 ;;
esac
tc qdisc add dev $1 root handle 1: prio bands 4 || { echo 'the kernel has no prio queue (module sch_prio)' >&2; exit 4; }
if ! tc qdisc add dev $1 parent 1:4 handle 40: netem delay $(half_ms)ms; then
  tc qdisc del dev $1 root
  echo 'the kernel has no netem (module sch_netem; on Debian in linux-image-amd64, not in the cloud image)' >&2
  exit 4
fi
TC
  for address in "${@:2}"; do
    if [[ $address == *:* ]]; then
      printf '%s\n' "tc filter add dev $1 parent 1: protocol ipv6 u32 match ip6 dst $address/128 flowid 1:4"
    else
      printf '%s\n' "tc filter add dev $1 parent 1: protocol ip u32 match ip dst $address/32 flowid 1:4"
    fi
  done
}
fast() { # INTERFACE: a text for sh; only the queue that was put there
  printf '%s\n' 'set -e' 'command -v tc >/dev/null || exit 0' "queue=\$(tc qdisc show dev $1 root)" \
    "case \"\$queue\" in *'qdisc prio 1:'*) tc qdisc del dev $1 root ;; esac"
}

needs_linux() { need "$1" address interface && need "$2" address interface; }
fault_linux() {
  on "$1" "$(slow "$(setting "$1" interface)" "$(address_of "$2")")"
  on "$2" "$(slow "$(setting "$2" interface)" "$(address_of "$1")")"
}
fast_host() { on "$1" "$(fast "$(setting "$1" interface)")"; }
heal_linux() { each fast_host "$1" "$2"; }

fault_kubernetes() {
  local first second
  first=$(addresses_of "$1")
  second=$(addresses_of "$2")
  # shellcheck disable=SC2086 # they are several words
  in_pods "$1" "$(slow "$(setting "$1" interface eth0)" $second)"
  # shellcheck disable=SC2086
  in_pods "$2" "$(slow "$(setting "$2" interface eth0)" $first)"
}
fast_pods() { in_pods "$1" "$(fast "$(setting "$1" interface eth0)")"; }
heal_kubernetes() { each fast_pods "$1" "$2"; }

scenario "$@"

#!/usr/bin/env bash
# Cuts the link between two regions, both ways. Runbook: docs/runbooks/partition.md
SCENARIO=partition
SUMMARY='Cut the link between two regions, both ways.'
ARGUMENTS='<region> <other>'
DETAILS='Packets between them vanish and nobody is told. Both count on; frames say how stale the other one is.
On Kubernetes a NetworkPolicy does it: given <region>.address, the regions may reach all but each other'"'"'s address; without, their
NATS takes in all pods but those of the other one. It asks for a network plugin that enforces policies, also on connections that stand;
where the two still hear each other, it heals and ends with 4.'
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
SILENCE_SECONDS=4 SILENCE_WAIT_SECONDS=20

fault_dev() { chaos partition "$1" "$2"; }
heal_dev() { chaos heal "$1" "$2"; }

needs_linux() { need "$2" address; }
fault_linux() { nft_drop "$1" "$2" 'in out'; }
heal_linux() { nft_heal "$1"; }

policy() { # REGION OTHER
  local address spec
  address=$(setting "$2" address '')
  if [[ -n $address ]]; then
    local all=0.0.0.0/0 bits=32
    if [[ $address == *:* ]]; then all=::/0 bits=128; fi
    spec="\"podSelector\": { \"matchLabels\": $(labels_json "$1" region) },
    \"policyTypes\": [\"Egress\"],
    \"egress\": [{ \"to\": [{ \"ipBlock\": { \"cidr\": \"$all\", \"except\": [\"$address/$bits\"] } }] }]"
  else
    spec="\"podSelector\": { \"matchLabels\": $(labels_json "$1" nats) },
    \"policyTypes\": [\"Ingress\"],
    \"ingress\": [{ \"from\": [{
      \"namespaceSelector\": {},
      \"podSelector\": { \"matchExpressions\": [{ \"key\": \"ovation/region\", \"operator\": \"NotIn\", \"values\": [\"$2\"] }] }
    }] }]"
  fi
  on here "$(kube "$1") apply -f - <<'JSON'
{
  \"apiVersion\": \"networking.k8s.io/v1\",
  \"kind\": \"NetworkPolicy\",
  \"metadata\": { \"name\": \"ovation-chaos-$1-without-$2\", \"labels\": { \"app.kubernetes.io/part-of\": \"ovation-chaos\" } },
  \"spec\": {
    $spec
  }
}
JSON"
}
await_silence() { # REGION OTHER: until it hears the other one no more
  local seconds=0
  if $DRY; then
    printf '# until reactions_peer_staleness_seconds of %s at %s is over %s\n' "$2" "$1" "$SILENCE_SECONDS"
    return 0
  fi
  for ((; seconds < SILENCE_WAIT_SECONDS; seconds++)); do
    if admin_get "$1" /metrics | awk -v peer="peer=\"$2\"" -v min=$SILENCE_SECONDS '
      /^reactions_peer_staleness_seconds\{/ && index($0, peer) && $NF > min { silent = 1 }
      END { exit !silent }'; then return 0; fi
    nap 1s
  done
  unable "$1 still hears $2: the network plugin does not enforce the policy, or not on connections that stand"
}
fault_kubernetes() {
  policy "$1" "$2"
  policy "$2" "$1"
  await_silence "$1" "$2"
  await_silence "$2" "$1"
}
no_policy() { on here "$(kube "$1") delete networkpolicy ovation-chaos-$1-without-$2 --ignore-not-found"; }
heal_kubernetes() {
  local failed=0
  no_policy "$1" "$2" || failed=1
  no_policy "$2" "$1" || failed=1
  return $failed
}

scenario "$@"

# shellcheck shell=bash
# Network faults inside pods: a debug container shares the network of each pod of a region and of its NATS, and may change it.

in_pods() { # REGION SCRIPT: a text for sh, run in all of them; each must end well
  local command image get
  command=$(kube "$1")
  image=$(setting "$1" tools.image 'nicolaka/netshoot')
  get="$command get pods --field-selector=status.phase=Running -o name -l"
  # `kubectl debug` does not tell how what it started ended; the pod's status does. All pods have their turn, for a heal needs it.
  on here "pods=\$($get '$(selector "$1" region)' && $get '$(selector "$1" nats)')
[ -n \"\$pods\" ] || { echo 'no pod of $1 runs' >&2; exit 4; }
failed=0
for pod in \$pods; do
  name=chaos-\$RANDOM\$RANDOM code=''
  if $command debug \"\$pod\" --quiet --profile=netadmin --image=$image --container=\$name -- sh -c $(printf %q "$2"); then
    for _ in \$(seq 150); do
      code=\$($command get \"\$pod\" -o jsonpath=\"{.status.ephemeralContainerStatuses[?(@.name=='\$name')].state.terminated.exitCode}\") || true
      [ -z \"\$code\" ] || break
      sleep 0.2
    done
  fi
  [ \"\$code\" = 0 ] || { $command logs \"\$pod\" --container=\$name >&2 || true; echo \"\$pod: the debug container did not end well (\${code:-it runs on, or did not begin})\" >&2; failed=4; }
done
exit \$failed"
}

addresses_of() { # REGION: as the pods of its peers see it: what is set, or its pods and services in the same cluster
  local address command part
  address=$(setting "$1" address '')
  command=$(kube "$1")
  if [[ -n $address ]]; then
    printf '%s' "$address"
  elif $DRY; then
    printf 'ADDRESSES_OF_%s' "$1"
  else
    for part in region nats; do
      address+=" $($command get pods,services -l "$(selector "$1" "$part")" -o 'jsonpath={range .items[*]}{.status.podIP} {.spec.clusterIP} {end}')" || return
    done
    [[ $address =~ [0-9] ]] || unable "$1 has neither pods nor services; set $1.address"
    printf '%s' "${address//None/}"
  fi
}

drop_from() { # PEER [CONDITION]: a text for sh, which drops what comes in from the peer
  local address addresses
  # In a substitution `set -e` does not hold; and without an address there would be no rule, and no fault.
  addresses=$(addresses_of "$1") || return
  [[ -n $addresses ]] || unable "no address of $1 is known; set $1.address"
  printf '%s\n' 'set -e' "nft add table inet $(nft_table)" "nft add chain inet $(nft_table) in '{ type filter hook input priority -300; }'"
  for address in $addresses; do
    printf '%s\n' "nft add rule inet $(nft_table) in $(family_of "$address") saddr $address ${2:-}drop"
  done
}
drop_nothing() { in_pods "$1" "nft add table inet $(nft_table) && nft delete table inet $(nft_table)"; } # REGION

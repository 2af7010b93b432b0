# shellcheck shell=bash
# The checks before and after, and the crowd that taps meanwhile.

admin_get() { # REGION PATH
  local admin
  admin=$(setting "$1" admin '')
  if [[ $TARGET == kubernetes && -z $admin ]]; then
    # The namespace, too, is what kubectl takes when it is not told: that of its context.
    local found namespace pod
    found=$($(kube "$1") get pods -l "$(selector "$1" region)" -o 'jsonpath={.items[0].metadata.namespace} {.items[0].metadata.name}') || return
    read -r namespace pod <<<"$found"
    $(kube "$1") get --raw "/api/v1/namespaces/$namespace/pods/http:$pod:9081/proxy$2"
  else
    : "${admin:=$(setting "$1" admin)}"
    on "$1" "curl -sS --max-time 5 --fail-with-body '$admin$2'"
  fi
}

endpoints() {
  local region list=''
  for region in "${REGIONS[@]}"; do list+="${list:+,}$(setting "$region" api)"; done
  printf '%s' "$list"
}

trouble() { # prints what is not well, a line each; nothing when all is
  local region answer
  for region in "${REGIONS[@]}"; do
    answer=$(admin_get "$region" /readyz 2>&1) || { printf '%s is not ready: %s\n' "$region" "$answer"; continue; }
    answer=$(admin_get "$region" /metrics 2>&1) || { printf '%s tells no metrics: %s\n' "$region" "$answer"; continue; }
    awk -v me="$region" -v max=$STALENESS_SECONDS_MAX -v want=$((${#REGIONS[@]} - 1)) '
      /^reactions_peer_staleness_seconds\{/ {
        match($0, /peer="[^"]*"/); peer = substr($0, RSTART + 6, RLENGTH - 7); n++
        if ($NF > max) printf "%s has not heard %s for %.0f s\n", me, peer, $NF
      }
      END { if (n < want) printf "%s has heard %d of its %d peers\n", me, n, want }' <<<"$answer"
  done
  answer=$(audit --wait 5s 2>&1) || printf 'the audit says no: %s\n' "$answer"
}

audit() { # OPTIONS…
  local options=()
  if ! $DATABASE; then options+=(--no-database); fi
  if [[ -n $TOKEN_FILE ]]; then options+=(--token-file "$TOKEN_FILE"); fi
  if $MAY_BE_EMPTY; then options+=(--allow-empty); fi
  "${OVATION[@]}" audit --stream "$STREAM" --endpoint "$(endpoints)" "${options[@]}" "$@"
}

assert_steady() {
  if $DRY; then
    printf '# before: /readyz and reactions_peer_staleness_seconds of each region, ovation audit --stream %s\n' "$STREAM"
    return 0
  fi
  local found
  found=$(trouble)
  if [[ -z $found ]]; then
    say "$SCENARIO: before: ${REGIONS[*]} are ready, have heard each other, and their books balance"
  elif $FORCE; then
    say "$SCENARIO: not well before, and broken nevertheless:"$'\n'"$found"
  else
    die $EXIT_NOT_STEADY "not well before, so nothing is broken:"$'\n'"$found"
  fi
}

start_crowd() { # taps from before the fault until it is healed
  $CROWD || return 0
  local seconds command
  seconds=$(awk "BEGIN { print $(in_seconds "$FOR") + $CROWD_SECONDS }")
  command=(load --stream "$STREAM" --endpoint "$(endpoints)" --viewers "$VIEWERS" --rate "$RATE" --duration "${seconds}s" --settle "$CONVERGE")
  if ! $DATABASE; then command+=(--no-database); fi
  if $DRY; then
    printf 'ovation %s &\n' "${command[*]}"
    return 0
  fi
  CROWD_OUTPUT=$(mktemp)
  # In a group of its own: Ctrl-C is for the script, which sends the crowd home once.
  set -m
  "${OVATION[@]}" "${command[@]}" >"$CROWD_OUTPUT" 2>&1 &
  CROWD_PID=$!
  # Should the script be killed, nobody else sends the crowd home, and books that are tapped do not balance.
  (
    while kill -0 $$ 2>/dev/null && kill -0 "$CROWD_PID" 2>/dev/null; do sleep 1; done
    kill -0 $$ 2>/dev/null || kill "$CROWD_PID" 2>/dev/null || true
  ) >/dev/null 2>&1 &
  set +m
  local api
  api=$(setting "${REGIONS[0]}" api)
  for ((seconds = 0; seconds < BEGIN_SECONDS; seconds++)); do
    kill -0 "$CROWD_PID" 2>/dev/null || break
    if curl -sS --max-time 5 "$api/streams/$STREAM/reactions" 2>/dev/null | grep -q '"totals":{[^}]*[1-9]'; then
      MAY_BE_EMPTY=false
      return 0
    fi
    nap 1s
  done
  die $EXIT_UNABLE "the crowd did not begin to tap:"$'\n'"$(cat "$CROWD_OUTPUT")"
}

send_crowd_home() { # it stops tapping, waits for its answers, and compares
  if $DRY; then
    printf '# the crowd stops tapping\n'
  elif [[ -n $CROWD_PID ]]; then
    kill "$CROWD_PID" 2>/dev/null || true
  fi
}

assert_converged() { # from the heal on
  if $DRY; then
    printf '# after: the same checks for %s at most, and the verdict of the crowd\n' "$CONVERGE"
    return 0
  fi
  local healed_at=$1 deadline found='' seconds
  deadline=$(awk "BEGIN { printf \"%.3f\", $healed_at + $(in_seconds "$CONVERGE") }")
  while :; do
    # What was sent and is not answered yet may still be counted.
    if [[ -n $CROWD_PID ]] && kill -0 "$CROWD_PID" 2>/dev/null; then
      found='the crowd still waits for answers'
    elif found=$(audit 2>&1); then
      found=$(trouble)
    else
      found="the audit says no: $found"
    fi
    if [[ -z $found ]]; then
      seconds=$(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $healed_at }")
      say "$SCENARIO: after: all agree again, within $seconds s of the heal"
      break
    fi
    awk "BEGIN { exit !($EPOCHREALTIME < $deadline) }" || break
    nap 500ms
  done
  local verdict=0
  if [[ -n $CROWD_PID ]]; then
    wait "$CROWD_PID" || verdict=$?
    CROWD_PID=''
    cat "$CROWD_OUTPUT" >&2
    rm -f "$CROWD_OUTPUT"
  fi
  [[ -z $found ]] || die $EXIT_NO "not well $CONVERGE after the heal:"$'\n'"$found"
  ((verdict == 0)) || die $EXIT_NO "the books do not show what the crowd was told"
}

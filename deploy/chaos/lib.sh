# shellcheck shell=bash
# What the chaos scripts share: options, where things are, the checks before and after, and the order of it all.
#
# A scenario sets SCENARIO, SUMMARY, ARGUMENTS (the names of its arguments) and DETAILS, defines fault_<target> and
# heal_<target> for each target, or fault and heal for all, sources this file and calls `scenario "$@"`. What a fault or a heal
# does stands in texts for bash, handed to `on PLACE`, so that --dry-run can show exactly what would run, and where.

set -euo pipefail
export LC_ALL=C

EXIT_NO=1 EXIT_USAGE=2 EXIT_NOT_STEADY=3 EXIT_UNABLE=4
STALENESS_SECONDS_MAX=5
# So long the crowd taps at most beyond the fault, should nobody send it home; and so long it may take to begin.
CROWD_SECONDS=900 BEGIN_SECONDS=60

TARGET=dev URL='' FOR=${FOR:-30s} STREAM='' VIEWERS=30 RATE=${RATE:-2} CONVERGE=${CONVERGE:-120s} FORCE=false DRY=false CROWD=true DATABASE=true
OPTIONS_HELP=${OPTIONS_HELP:-}
ARGS=()
declare -A SETTINGS=()
REGIONS=()
HEALED=true FAULTING=false
CROWD_PID='' CROWD_OUTPUT=''
HERE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
if [[ -n ${OVATION_COMMAND:-} ]]; then
  read -r -a OVATION <<<"$OVATION_COMMAND"
elif [[ -f $HERE/../../dist/src/cli/main.js ]]; then
  OVATION=(node "$(cd -- "$HERE/../.." && pwd)/dist/src/cli/main.js")
else
  OVATION=(ovation)
fi

usage() {
  cat <<EOF
$SUMMARY

Usage: $SCENARIO.sh [options]${ARGUMENTS:+ $ARGUMENTS}

$DETAILS

It checks that the regions are well and that their books balance, lets a small crowd tap, breaks, waits, heals (also
on Ctrl-C), and waits until all books agree again. The runbook is docs/runbooks/$SCENARIO.md.

Options:
  --target <where>     dev (default), linux or kubernetes
  --for <duration>     how long it stays broken (default $FOR)
${OPTIONS_HELP:+$OPTIONS_HELP
}  --url <url>          dev: its live page (default: the one that runs)
  --hosts <file>       linux, kubernetes: where things are, a line each; see hosts.example
  --set <key=value>    one line of that file, before it; may be repeated
  --context <name>     kubernetes: the same as --set '*.context=<name>'; {region} stands for the region
  --namespace <name>   kubernetes: the same as --set '*.namespace=<name>'; {region} as well
  --stream <id>        the stream that the crowd taps and that is audited (default: a new one)
  --viewers <n>        viewers of the crowd (default $VIEWERS)
  --no-crowd           let nobody tap; then --stream names one that is tapped anyway
  --no-database        the regions have none: compare them with each other only
  --converge <time>    how long all may take to agree again (default $CONVERGE)
  --force              break also what is not well
  --dry-run            show what would run, and where; nothing is broken
  --help               this

Exit codes: 0 it healed and the books balance, 1 they do not, 2 wrong options, 3 not well before, so that nothing was
broken, 4 it could not be broken or healed; 130 interrupted, and healed. OVATION_COMMAND says how to call ovation, where that is neither
the build of this checkout nor in the path.
EOF
}

say() { printf '%s\n' "$*" >&2; }
die() {
  local code=$1
  shift
  say "$SCENARIO: $*"
  exit "$code"
}

# --- where things are ---------------------------------------------------------------------------------------------

put() { # KEY=VALUE: what is set first stays
  local key=${1%%=*} value=${1#*=}
  key=${key//[[:space:]]/}
  value=${value#"${value%%[![:space:]]*}"}
  value=${value%"${value##*[![:space:]]}"}
  [[ $key =~ ^(\*|[A-Za-z0-9_-]+)\.[a-z.]+$ ]] || die $EXIT_USAGE "'$1': expected <region>.<what> = <value>"
  [[ -v SETTINGS[$key] ]] || SETTINGS[$key]=$value
}

read_hosts() {
  [[ -r $1 ]] || die $EXIT_USAGE "--hosts $1 cannot be read"
  local line
  while IFS= read -r line || [[ -n $line ]]; do
    line=${line%%[[:space:]]#*}
    [[ $line =~ ^[[:space:]]*(#|$) ]] || put "$line"
  done <"$1"
}

setting() { # PLACE WHAT [DEFAULT]: of the place itself, or of all (*), or the default; without any the script ends
  local value
  if [[ -v SETTINGS[$1.$2] ]]; then
    value=${SETTINGS[$1.$2]}
  elif [[ -v SETTINGS[*.$2] ]]; then
    value=${SETTINGS[*.$2]}
  elif (($# > 2)); then
    value=$3
  else
    say "$SCENARIO: $1.$2 is not set; see hosts.example"
    # Most are asked for inside another text, where a failure would not end anything.
    kill -USR1 $$
    return $EXIT_USAGE
  fi
  printf '%s' "${value//\{region\}/$1}"
}

in_seconds() { # 500ms, 30s, 2m, 1h or 30
  [[ $1 =~ ^([0-9]+)(\.[0-9]+)?(ms|s|m|h)?$ ]] || die $EXIT_USAGE "'$1' is no duration such as 500ms, 30s or 2m"
  local number=${BASH_REMATCH[1]}${BASH_REMATCH[2]}
  case ${BASH_REMATCH[3]} in
    ms) awk "BEGIN { print $number / 1000 }" ;;
    m) awk "BEGIN { print $number * 60 }" ;;
    h) awk "BEGIN { print $number * 3600 }" ;;
    *) printf '%s' "$number" ;;
  esac
}

read_dev() { # fills SETTINGS from the running dev
  local status
  status=$("${OVATION[@]}" chaos status --json ${URL:+--url "$URL"}) || exit $EXIT_UNABLE
  local id api admin data
  while read -r id api admin data; do
    REGIONS+=("$id")
    SETTINGS[$id.api]=$api SETTINGS[$id.admin]=$admin SETTINGS[$id.nats.data]=${data:-}
  done < <(node -e 'for (const { id, api, admin, nats_data } of JSON.parse(process.argv[1]).regions) console.log(id, api, admin, nats_data ?? "")' "$status")
}

find_regions() {
  [[ $TARGET == dev ]] && { $DRY || read_dev; return 0; }
  local key
  while read -r key; do
    if [[ $key == *.api ]]; then REGIONS+=("${key%.api}"); fi
  done < <(printf '%s\n' "${!SETTINGS[@]}" | sort)
  ((${#REGIONS[@]} > 0)) || die $EXIT_USAGE "say where the regions are: --hosts, or --set us.api=http://… for each"
}

assert_region() {
  if [[ $TARGET == dev ]] && $DRY; then return 0; fi
  [[ " ${REGIONS[*]} " == *" $1 "* ]] || die $EXIT_USAGE "there is no region $1; there are ${REGIONS[*]}"
}

# --- doing things --------------------------------------------------------------------------------------------------

on() { # PLACE SCRIPT: runs a text for bash at a place; `here` is this machine
  local place=$1 script=$2 prefix=''
  [[ $place == here ]] || prefix=$(setting "$place" run '')
  if $DRY; then
    printf '# on %s%s\n%s\n' "$place" "${prefix:+: $prefix bash -s}" "$script"
    return 0
  fi
  local words=()
  read -r -a words <<<"$prefix"
  # By standard input, so that ssh has nothing to quote; what it starts shall not read on in the text.
  "${words[@]}" bash -s <<<"{ set -eu; $script
} </dev/null"
}

chaos() { # a command of `ovation chaos` to the running dev
  local command=("${OVATION[@]}" chaos "$@" ${URL:+--url "$URL"})
  if $DRY; then
    printf 'ovation chaos %s\n' "$*${URL:+ --url $URL}"
    return 0
  fi
  "${command[@]}" >/dev/null
}

unable() { die $EXIT_UNABLE "$@"; }

nap() { # sleeps, and wakes for signals
  if $DRY; then
    printf 'sleep %s\n' "$1"
    return 0
  fi
  sleep "$(in_seconds "$1")" &
  wait $!
}

need() { # PLACE WHAT…: ends the script before anything is broken when one is not set
  local place=$1 what
  shift
  for what in "$@"; do : "$(setting "$place" "$what")"; done
}
# A process on Linux is a systemd unit, or a pid file and, where it must be started again, a command.
need_process() { # PLACE PROCESS
  local key
  key=$(process_key "$1" "$2")
  [[ -n $(setting "$1" "${key}unit" '') ]] || need "$1" "${key}pidfile"
}
need_start() {
  local key
  key=$(process_key "$1" "$2")
  [[ -n $(setting "$1" "${key}unit" '') ]] || need "$1" "${key}pidfile" "${key}start"
}

address_of() { setting "$1" address; }
family_of() { if [[ $1 == *:* ]]; then printf ip6; else printf ip; fi; }

process_key() { if [[ $1 == database ]]; then printf ''; else printf '%s.' "$2"; fi; }

# For texts: one that has ended and that nobody has collected yet does not live.
# shellcheck disable=SC2016 # it is for the place where the text runs
ALIVE='alive() { kill -0 "$1" 2>/dev/null && ! grep -q "^State:.Z" "/proc/$1/status" 2>/dev/null; }'

signal_process() { # PLACE PROCESS SIGNAL
  local key unit
  key=$(process_key "$1" "$2")
  unit=$(setting "$1" "${key}unit" '')
  if [[ -n $unit ]]; then
    on "$1" "systemctl kill --kill-who=main --signal=$3 $unit"
  else
    on "$1" "kill -$3 \"\$(cat '$(setting "$1" "${key}pidfile")')\""
  fi
}

stop_process() { # PLACE PROCESS
  local key unit
  key=$(process_key "$1" "$2")
  unit=$(setting "$1" "${key}unit" '')
  if [[ -n $unit ]]; then
    on "$1" "systemctl stop $unit"
  else
    on "$1" "$ALIVE
pid=\$(cat '$(setting "$1" "${key}pidfile")')
kill \"\$pid\" 2>/dev/null || exit 0
for _ in \$(seq 300); do alive \"\$pid\" || exit 0; sleep 0.1; done
kill -9 \"\$pid\""
  fi
}

start_process() { # PLACE PROCESS: nothing when it runs
  local key unit
  key=$(process_key "$1" "$2")
  unit=$(setting "$1" "${key}unit" '')
  if [[ -n $unit ]]; then
    on "$1" "systemctl start $unit"
  else
    local start
    start=$(setting "$1" "${key}start")
    on "$1" "$ALIVE
alive \"\$(cat '$(setting "$1" "${key}pidfile")')\" && exit 0
setsid bash -c $(printf %q "$start") </dev/null >/dev/null 2>&1 &"
  fi
}

# Kubernetes: names and labels as deploy/ has them, each to be set otherwise.
kube() { # PLACE: the command with its context and namespace
  local context namespace
  context=$(setting "$1" context '')
  namespace=$(setting "$1" namespace '')
  printf 'kubectl%s%s' "${context:+ --context=$context}" "${namespace:+ --namespace=$namespace}"
}
workload() { # PLACE PROCESS
  case $2 in
    region) setting "$1" region.workload "deployment/ovation-{region}" ;;
    nats) setting "$1" nats.workload "statefulset/ovation-nats-{region}" ;;
    database) setting "$1" workload statefulset/ovation-postgres ;;
  esac
}
selector() { # PLACE PROCESS
  case $2 in
    database) setting "$1" selector app.kubernetes.io/component=database ;;
    *) setting "$1" "$2.selector" "app.kubernetes.io/component=$2,ovation/region={region}" ;;
  esac
}
labels_json() { # PLACE PROCESS: its selector as matchLabels
  local pair pairs=() out=''
  IFS=, read -r -a pairs <<<"$(selector "$1" "$2")"
  for pair in "${pairs[@]}"; do out+="${out:+, }\"${pair%%=*}\": \"${pair#*=}\""; done
  printf '{ %s }' "$out"
}
scale() { on here "$(kube "$1") scale $(workload "$1" "$2") --replicas=$3"; } # PLACE PROCESS REPLICAS
# What ends in order may serve on for its grace, so it is waited for.
scale_to_none() { # PLACE PROCESS
  local pods
  pods="pods -l '$(selector "$1" "$2")'"
  scale "$1" "$2" 0
  on here "$(kube "$1") wait --for=delete $pods --timeout=$CONVERGE || [ -z \"\$($(kube "$1") get $pods -o name)\" ]"
}
rolled_out() { on here "$(kube "$1") rollout status $(workload "$1" "$2") --timeout=$CONVERGE"; }

signal_node() { # REGION SIGNAL: the shell that kills is killed with the container
  on here "$(kube "$1") exec $(workload "$1" region) -- sh -c 'pid=\$(pgrep -xo node)
[ \"\$pid\" != 1 ] || { echo \"node is process 1, which no such signal from inside reaches\" >&2; exit 4; }
kill -$2 \"\$pid\"' || [ $2,\$? = KILL,137 ]"
}

kill_process() { # PLACE PROCESS: with no time to end in order
  case $TARGET in
    dev) if [[ $2 == region ]]; then chaos kill "$1"; else chaos kill "$1-$2"; fi ;;
    linux) signal_process "$1" "$2" KILL ;;
    # Only a signal from inside is SIGKILL at once: who is deleted by force has SIGTERM and two seconds before that.
    kubernetes)
      if [[ $2 == region ]]; then
        signal_node "$1" KILL
      else
        on here "$(kube "$1") delete pods -l '$(selector "$1" "$2")' --grace-period=0 --force --wait=false"
      fi
      ;;
  esac
}
bring_back() { # PLACE PROCESS: what was killed, should nobody have started it
  case $TARGET in
    dev) ;;
    linux) start_process "$1" "$2" ;;
    kubernetes) rolled_out "$1" "$2" ;;
  esac
}

# --- network faults on Linux, one nftables table a scenario ---------------------------------------------------------

nft_table() { printf 'ovation_chaos_%s' "${SCENARIO//-/_}"; }
nft_drop() { # PLACE PEER WAYS [CONDITION]: drops what comes from (in) or goes to (out) the peer's address
  local address family rules='' way
  address=$(address_of "$2")
  family=$(family_of "$address")
  for way in $3; do
    case $way in
      in) rules+="  chain in { type filter hook input priority -300; $family saddr $address ${4:-}drop; }"$'\n' ;;
      out) rules+="  chain out { type filter hook output priority -300; $family daddr $address ${4:-}drop; }"$'\n' ;;
    esac
  done
  on "$1" "command -v nft >/dev/null || { echo 'nft is missing: apt-get install nftables' >&2; exit 4; }
nft -f - <<'NFT'
table inet $(nft_table) {
$rules}
NFT"
}
nft_heal() { on "$1" "nft delete table inet $(nft_table) 2>/dev/null || true"; }

# --- the checks ------------------------------------------------------------------------------------------------------

admin_get() { # REGION PATH
  local admin
  admin=$(setting "$1" admin '')
  if [[ $TARGET == kubernetes && -z $admin ]]; then
    local pod
    pod=$($(kube "$1") get pods -l "$(selector "$1" region)" -o 'jsonpath={.items[0].metadata.name}')
    $(kube "$1") get --raw "/api/v1/namespaces/$(setting "$1" namespace default)/pods/http:$pod:9081/proxy$2"
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
  if ! $DATABASE; then options=(--no-database); fi
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
  "${OVATION[@]}" "${command[@]}" >"$CROWD_OUTPUT" 2>&1 &
  CROWD_PID=$!
  local api
  api=$(setting "${REGIONS[0]}" api)
  for ((seconds = 0; seconds < BEGIN_SECONDS; seconds++)); do
    kill -0 "$CROWD_PID" 2>/dev/null || break
    if curl -sS --max-time 5 "$api/streams/$STREAM/reactions" 2>/dev/null | grep -q '"totals":{[^}]*[1-9]'; then return 0; fi
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

# --- the order of it all ---------------------------------------------------------------------------------------------

act() { # fault or heal: what the scenario has for the target, or for all
  if declare -F "$1_$TARGET" >/dev/null; then set -- "$1_$TARGET"; fi
  "$1" "${ARGS[@]}"
}

heal_once() {
  $HEALED && return 0
  HEALED=true
  say "$SCENARIO: healing"
  act heal
}

leave() {
  local code=$?
  trap - EXIT INT TERM USR1
  if $FAULTING && ((code != 130 && code != EXIT_USAGE)); then code=$EXIT_UNABLE; fi
  heal_once || code=$EXIT_UNABLE
  if [[ -n $CROWD_PID ]]; then kill -9 "$CROWD_PID" 2>/dev/null || true; fi
  if [[ -n $CROWD_OUTPUT ]]; then rm -f "$CROWD_OUTPUT"; fi
  exit "$code"
}

parse_options() {
  local value
  while (($# > 0)); do
    case $1 in
      --help | -h) usage && exit 0 ;;
      --dry-run) DRY=true ;;
      --force) FORCE=true ;;
      --no-crowd) CROWD=false ;;
      --no-database) DATABASE=false ;;
      --*)
        value=${2-}
        (($# > 1)) || die $EXIT_USAGE "$1: a value is missing; see --help"
        case $1 in
          --target) TARGET=$value ;;
          --for) FOR=$value ;;
          --url) URL=$value ;;
          --hosts) HOSTS=$value ;;
          --set) put "$value" ;;
          --context) put "*.context=$value" ;;
          --namespace) put "*.namespace=$value" ;;
          --stream) STREAM=$value ;;
          --viewers) VIEWERS=$value ;;
          --converge) CONVERGE=$value ;;
          *)
            declare -F own_option >/dev/null || die $EXIT_USAGE "there is no $1; see --help"
            own_option "$1" "$value" || die $EXIT_USAGE "$1 $value: there is no such option or value; see --help"
            ;;
        esac
        shift
        ;;
      *) ARGS+=("$1") ;;
    esac
    shift
  done
}

scenario() {
  local HOSTS='' wanted=() name
  trap 'exit $EXIT_USAGE' USR1
  parse_options "$@"
  read -r -a wanted <<<"${ARGUMENTS:-}"
  ((${#ARGS[@]} == ${#wanted[@]})) || die $EXIT_USAGE "expected: ${ARGUMENTS:-no arguments}; see --help"
  [[ $TARGET =~ ^(dev|linux|kubernetes)$ ]] || die $EXIT_USAGE "--target: dev, linux or kubernetes"
  for name in "$FOR" "$CONVERGE"; do in_seconds "$name" >/dev/null; done
  [[ -z $HOSTS ]] || read_hosts "$HOSTS"
  $DRY || command -v "${OVATION[0]}" >/dev/null || die $EXIT_UNABLE "there is no ${OVATION[0]}; say in OVATION_COMMAND how to call ovation"
  find_regions
  for name in "${ARGS[@]}"; do assert_region "$name"; done
  if ((${#ARGS[@]} == 2)) && [[ ${ARGS[0]} == "${ARGS[1]}" ]]; then die $EXIT_USAGE 'name two different regions'; fi
  if declare -F "needs_$TARGET" >/dev/null; then "needs_$TARGET" "${ARGS[@]}"; fi
  STREAM=${STREAM:-chaos-$SCENARIO-$(date +%s)}
  assert_steady
  trap leave EXIT
  trap 'exit 130' INT TERM
  start_crowd
  HEALED=false FAULTING=true
  say "$SCENARIO: breaking ${ARGS[*]} for $FOR"
  act fault
  FAULTING=false
  nap "$FOR"
  heal_once || die $EXIT_UNABLE 'it could not be healed; see above'
  send_crowd_home
  assert_converged "$EPOCHREALTIME"
}

# shellcheck shell=bash
# Where things are, and how something is done there: settings, texts for bash, processes on Linux, workloads on Kubernetes.

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

assert_tools() { # what the script itself needs here; what a fault needs, it asks for where it happens
  $DRY && return 0
  local tool
  local -A packages=([curl]=curl [node]=nodejs [awk]=mawk)
  for tool in "${!packages[@]}"; do
    command -v "$tool" >/dev/null || unable "$tool is missing here: apt-get install ${packages[$tool]}"
  done
  [[ $TARGET != kubernetes ]] || command -v kubectl >/dev/null || unable 'kubectl is missing here: https://kubernetes.io/docs/tasks/tools'
}

assert_hosts() { # the checks ask each host's region there
  if [[ $TARGET != linux ]] || $DRY; then return 0; fi
  local region
  for region in "${REGIONS[@]}"; do
    on "$region" "command -v curl >/dev/null || { echo 'curl is missing: apt-get install curl' >&2; exit 4; }" ||
      unable "nothing can be asked on the host of $region; see above"
  done
}

assert_region() {
  if [[ $TARGET == dev ]] && $DRY; then return 0; fi
  [[ " ${REGIONS[*]} " == *" $1 "* ]] || die $EXIT_USAGE "there is no region $1; there are ${REGIONS[*]}"
}

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
  if $HEALING; then
    # Node hears signals also where it was started with them ignored; in a group of its own no Ctrl-C reaches it.
    set -m
    "${command[@]}" >/dev/null &
    set +m
    wait $!
  else
    "${command[@]}" >/dev/null
  fi
}

nap() { # sleeps, and wakes for signals
  if $DRY; then
    printf 'sleep %s\n' "$1"
    return 0
  fi
  sleep "$(in_seconds "$1")" &
  wait $!
}

# A heal tries all of its steps, and fails when one did.
each() { # STEP PLACE…: tries it at every place, and fails when it failed at one
  local step=$1 place failed=0
  shift
  for place in "$@"; do "$step" "$place" || failed=1; done
  return $failed
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

# For texts: one that has ended and that nobody has collected yet does not live; and what is to be gone is waited for, so that
# what comes next, a start or a hand on its files, finds nobody there.
# shellcheck disable=SC2016 # it is for the place where the text runs
ALIVE='alive() { grep -q "^State:.[^ZX]" "/proc/$1/status" 2>/dev/null; }
gone() { for _ in $(seq "$2"); do alive "$1" || return 0; sleep 0.1; done; return 1; }'

signal_process() { # PLACE PROCESS SIGNAL
  local key unit
  key=$(process_key "$1" "$2")
  unit=$(setting "$1" "${key}unit" '')
  if [[ -n $unit ]]; then
    on "$1" "systemctl kill --kill-who=main --signal=$3 $unit"
  elif [[ $3 == KILL ]]; then
    on "$1" "$ALIVE
pid=\$(cat '$(setting "$1" "${key}pidfile")')
kill -KILL \"\$pid\"
gone \"\$pid\" 100 || { echo \"process \$pid does not end\" >&2; exit 4; }"
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
alive \"\$pid\" || exit 0
kill \"\$pid\"
gone \"\$pid\" 300 || { kill -KILL \"\$pid\" && gone \"\$pid\" 100; } || { echo \"process \$pid does not end\" >&2; exit 4; }"
  fi
}

start_process() { # PLACE PROCESS: nothing when it runs
  local key unit
  key=$(process_key "$1" "$2")
  unit=$(setting "$1" "${key}unit" '')
  if [[ -n $unit ]]; then
    on "$1" "systemctl start $unit"
  else
    local start pidfile
    start=$(setting "$1" "${key}start")
    pidfile=$(setting "$1" "${key}pidfile")
    # One that was started a moment ago may not have left its number yet, and a second one would take its place in the file. It
    # must hear signals, which are ignored while a script heals.
    on "$1" "$ALIVE
runs() { for _ in \$(seq \"\$1\"); do if alive \"\$(cat '$pidfile' 2>/dev/null)\"; then return 0; fi; sleep 0.1; done; return 1; }
if runs 10; then exit 0; fi
if env --default-signal true 2>/dev/null; then afresh='env --default-signal'; else afresh=''; fi
setsid \$afresh bash -c $(printf %q "$start") </dev/null >/dev/null 2>&1 &
runs 100 || { echo 'nothing runs by the number in $pidfile' >&2; exit 4; }"
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
scale_to_one() { scale "$1" "$2" 1 && rolled_out "$1" "$2"; } # PLACE PROCESS
# What ends in order may serve on for its grace, so it is waited for.
scale_to_none() { # PLACE PROCESS
  local pods
  pods="pods -l '$(selector "$1" "$2")'"
  scale "$1" "$2" 0 && on here "$(kube "$1") wait --for=delete $pods --timeout=$CONVERGE || [ -z \"\$($(kube "$1") get $pods -o name)\" ]"
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

# Network faults on Linux: one nftables table a scenario.

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
# Where nft is missing nothing was dropped. What is added first is there to be deleted, so that a failure is one.
nft_heal() { on "$1" "command -v nft >/dev/null || exit 0
nft add table inet $(nft_table)
nft delete table inet $(nft_table)"; }

# shellcheck shell=bash
# What the chaos scripts share: options, and the order of it all. Where things are is in places.sh, the checks are in checks.sh.
#
# A scenario sets SCENARIO, SUMMARY, ARGUMENTS (the names of its arguments) and DETAILS, defines fault_<target> and
# heal_<target> for each target, or fault and heal for all, sources this file and calls `scenario "$@"`. What a fault or a heal
# does stands in texts for bash, handed to `on PLACE`, so that --dry-run can show exactly what would run, and where.
#
# A heal may be tried again, and alone (--heal): it takes what it finds, tries all of its steps, and fails when one did. It runs
# where `set -e` does not hold, so each step says itself what its failure means.

if ((BASH_VERSINFO[0] < 5)); then
  echo "$SCENARIO: bash 5 or newer is needed, and this is $BASH_VERSION: apt-get install bash, on macOS brew install bash" >&2
  exit 4
fi
set -euo pipefail
export LC_ALL=C

EXIT_NO=1 EXIT_USAGE=2 EXIT_NOT_STEADY=3 EXIT_UNABLE=4 EXIT_INTERRUPTED=130
HEAL_ATTEMPTS_MAX=3 HEAL_PAUSE_SECONDS=1
STALENESS_SECONDS_MAX=5
# So long the crowd taps at most beyond the fault, should nobody send it home; and so long it may take to begin.
CROWD_SECONDS=900 BEGIN_SECONDS=60

TARGET=dev URL='' FOR=${FOR:-30s} STREAM='' VIEWERS=30 RATE=${RATE:-2} CONVERGE=${CONVERGE:-120s} FORCE=false DRY=false CROWD=true DATABASE=true
TOKEN_FILE='' HEAL_ONLY=false
OPTIONS_HELP=${OPTIONS_HELP:-}
ARGS=()
declare -A SETTINGS=()
REGIONS=()
HEALED=true HEALING=false GAVE_UP=false FAULTING=false
# Of a stream that nobody has tapped yet the books are empty, and that is no disagreement.
MAY_BE_EMPTY=false
# The same script again, for those who must heal by hand.
AGAIN=''
CROWD_PID='' CROWD_OUTPUT=''
HERE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
if [[ -n ${OVATION_COMMAND:-} ]]; then
  read -r -a OVATION <<<"$OVATION_COMMAND"
elif [[ -f $HERE/../../dist/src/cli/main.js ]]; then
  OVATION=(node "$(cd -- "$HERE/../.." && pwd)/dist/src/cli/main.js")
else
  OVATION=(ovation)
fi
. "$HERE/places.sh"
. "$HERE/checks.sh"

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
  --no-crowd           let nobody tap; --stream then names one that has counts, and rests at times: while it is tapped,
                       books differ by what is under way
  --token-file <path>  regions that ask for tokens: a moderator's, for the audits. With OVATION_JWT_SECRET or
                       OVATION_JWT_SECRET_FILE in the environment none is needed, and only then can the crowd tap
  --no-database        the regions have none: compare them with each other only
  --converge <time>    how long all may take to agree again (default $CONVERGE)
  --force              break also what is not well
  --heal               break nothing: heal what a killed script has left, and wait until all agree
  --dry-run            show what would run, and where; nothing is broken
  --help               this

Exit codes: 0 it healed and the books balance, 1 they do not, 2 wrong options, 3 not well before, so that nothing was
broken, 4 it could not be broken or healed, or something is missing; 130 interrupted, and healed. OVATION_COMMAND says how to
call ovation, where that is neither the build of this checkout nor in the path.
EOF
}

# Also where nobody can read it any more: a terminal that was closed must not keep a script from healing.
say() { printf '%s\n' "$*" >&2 || true; }
die() {
  local code=$1
  shift
  say "$SCENARIO: $*"
  exit "$code"
}
unable() { die $EXIT_UNABLE "$@"; }

# --- the order of it all ---------------------------------------------------------------------------------------------

act() { # fault or heal: what the scenario has for the target, or for all
  if declare -F "$1_$TARGET" >/dev/null; then set -- "$1_$TARGET"; fi
  "$1" "${ARGS[@]}"
}

# The first one counts: while it is healed, nobody hears a second.
interrupted() {
  trap '' INT TERM HUP
  exit $EXIT_INTERRUPTED
}

heal_once() {
  $HEALED && return 0
  $GAVE_UP && return 1
  # Who interrupts a heal would leave what is broken; so neither it nor what it starts hears of that.
  trap '' INT TERM HUP
  HEALING=true
  local attempt
  say "$SCENARIO: healing"
  for ((attempt = 1; attempt <= HEAL_ATTEMPTS_MAX; attempt++)); do
    if act heal; then
      HEALED=true HEALING=false
      return 0
    fi
    say "$SCENARIO: attempt $attempt of $HEAL_ATTEMPTS_MAX to heal has failed; see above"
    ((attempt == HEAL_ATTEMPTS_MAX)) || sleep $HEAL_PAUSE_SECONDS
  done
  GAVE_UP=true
  say "$SCENARIO: NOT HEALED. What was broken may still be. Once what is in the way is gone: $AGAIN--heal --stream $STREAM"
  return 1
}

leave() {
  local code=$?
  trap '' INT TERM HUP
  trap - EXIT
  if $FAULTING && ((code != EXIT_INTERRUPTED && code != EXIT_USAGE)); then code=$EXIT_UNABLE; fi
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
      --heal) HEAL_ONLY=true ;;
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
          --token-file) TOKEN_FILE=$value ;;
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

check_options() {
  local wanted=() name
  read -r -a wanted <<<"${ARGUMENTS:-}"
  ((${#ARGS[@]} == ${#wanted[@]})) || die $EXIT_USAGE "expected: ${ARGUMENTS:-no arguments}; see --help"
  [[ $TARGET =~ ^(dev|linux|kubernetes)$ ]] || die $EXIT_USAGE "--target: dev, linux or kubernetes"
  for name in "$FOR" "$CONVERGE"; do in_seconds "$name" >/dev/null; done
  # kubectl wants a unit, and the others take one.
  CONVERGE=$(in_seconds "$CONVERGE")s
  if ! $CROWD && ! $HEAL_ONLY && [[ -z $STREAM ]]; then
    die $EXIT_USAGE '--no-crowd: name with --stream one that has counts, or nothing shows whether taps were lost'
  fi
  [[ -z $TOKEN_FILE || -r $TOKEN_FILE ]] || die $EXIT_USAGE "--token-file $TOKEN_FILE cannot be read"
  if $HEAL_ONLY; then
    [[ -n $STREAM ]] || MAY_BE_EMPTY=true
  else
    MAY_BE_EMPTY=$CROWD
  fi
  STREAM=${STREAM:-chaos-$SCENARIO-$(date +%s)}
}

prepare() { # finds out where everything is, and whether all is there that is needed
  local HOSTS='' name
  trap 'exit $EXIT_USAGE' USR1
  parse_options "$@"
  check_options
  [[ -z $HOSTS ]] || read_hosts "$HOSTS"
  assert_tools
  $DRY || command -v "${OVATION[0]}" >/dev/null || unable "there is no ${OVATION[0]}; say in OVATION_COMMAND how to call ovation"
  find_regions
  for name in "${ARGS[@]}"; do assert_region "$name"; done
  if ((${#ARGS[@]} == 2)) && [[ ${ARGS[0]} == "${ARGS[1]}" ]]; then die $EXIT_USAGE 'name two different regions'; fi
  for name in needs "needs_$TARGET"; do
    if declare -F "$name" >/dev/null; then "$name" "${ARGS[@]}"; fi
  done
}

break_for_a_while() {
  FAULTING=true
  say "$SCENARIO: breaking ${ARGS[*]} for $FOR; the stream is $STREAM"
  act fault
  FAULTING=false
  nap "$FOR"
  # What a scenario breaks only now, after the time that it is about.
  if declare -F late_fault >/dev/null; then
    FAULTING=true
    act late_fault
    FAULTING=false
  fi
}

scenario() {
  AGAIN=$(printf '%q ' "$0" "$@")
  AGAIN=${AGAIN//--heal /}
  prepare "$@"
  if ! $HEAL_ONLY; then
    assert_hosts
    assert_steady
  fi
  trap leave EXIT
  trap interrupted INT TERM HUP
  if ! $HEAL_ONLY; then start_crowd; fi
  HEALED=false
  if ! $HEAL_ONLY; then break_for_a_while; fi
  heal_once || unable 'it could not be healed; see above'
  trap interrupted INT TERM HUP
  send_crowd_home
  assert_converged "$EPOCHREALTIME"
}

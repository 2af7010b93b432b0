#!/usr/bin/env bash
# Lets far more viewers tap than usual. Runbook: docs/runbooks/overload.md
SCENARIO=overload
SUMMARY='Let a crowd tap that is larger than what the regions can serve.'
ARGUMENTS=''
DETAILS='Nothing is broken but the measure: how many viewers are too many depends on the machines, so say it with --viewers and --rate. What the
regions cannot take they refuse or delay; what they acknowledge must be counted. Run it from machines that can play such a crowd.'
OPTIONS_HELP='  --rate <taps>        taps a second of each viewer (default 8)
'
RATE=8
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
[[ " $* " == *' --viewers '* ]] || VIEWERS=2000

own_option() { [[ $1 == --rate && $2 =~ ^[0-9]+(\.[0-9]+)?$ ]] && RATE=$2; }

needs() { $CROWD || die $EXIT_USAGE '--no-crowd: the crowd is what overloads'; }

# The crowd is the fault, and it goes home by itself.
fault() { :; }
heal() { :; }

scenario "$@"

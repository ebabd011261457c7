#!/usr/bin/env bash
# Runs several pytest at once, as some tests compute while others wait. The last is shown at work, the others are told after it.
#   scripts/side_by_side.sh pytest ARGUMENT... --and pytest ARGUMENT...
# Ends with the status of one that failed; with 5, as pytest does, where all of them pick no test.
set -uo pipefail

told=$(mktemp -d)
begun=()
trap 'kill "${begun[@]}" 2>/dev/null; rm -rf "$told"' EXIT
trap 'exit 143' TERM
command=()
for word in "$@"; do
  if [ "$word" = --and ]; then
    "${command[@]}" >"$told/${#begun[@]}" 2>&1 &
    begun+=($!)
    command=()
  else
    command+=("$word")
  fi
done
"${command[@]}"
statuses=($?)
for number in "${!begun[@]}"; do
  wait "${begun[number]}"
  statuses+=($?)
  cat "$told/$number"
done
begun=()

most=5
for status in "${statuses[@]}"; do
  case $status in
    0) most=0 ;;
    5) ;;
    *) exit "$status" ;;
  esac
done
[ $most = 0 ] || echo 'PYTEST_ARGS picks no test of this target; make test and make test-measured have others' >&2
exit $most

#!/usr/bin/env bash
# The steps of action.yml, for any CI and by hand.
#   scripts/action.sh setup      installs what the lab needs into this checkout; LAB_PYTHON names its Python
#   scripts/action.sh matrix     runs LAB_PROGRAM (empty: this project's client) with LAB_OPTIONS, writes LAB_REPORT
# Where GITHUB_STEP_SUMMARY names a file, the report's summary is added to it. The exit status is the matrix's.
set -euo pipefail
home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

setup() {
  local setting=/proc/sys/kernel/apparmor_restrict_unprivileged_userns
  # Ubuntu 24.04 keeps unprivileged user namespaces, and so the lab, from programs without a profile.
  if [ "$(cat "$setting" 2>/dev/null)" = 1 ]; then
    sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0
  fi
  EXTRA=lab PYTHON=${LAB_PYTHON:-} "$home/scripts/setup.sh" lab
  "$home/.venv/bin/natlab" doctor
}

matrix() {
  local words=() options=() split report=${LAB_REPORT:-nat-lab-report} status=0
  [ -z "${LAB_PROGRAM:-}" ] || words+=(--program "$LAB_PROGRAM")
  # Quotes as in a shell, and nothing else of one.
  if ! split=$("$home/.venv/bin/python" -c 'import shlex, sys; print(*shlex.split(sys.argv[1]), sep="\n")' "${LAB_OPTIONS:-}" 2>/dev/null); then
    echo "error: the options have a quote or a backslash without its end: ${LAB_OPTIONS}" >&2
    return 2
  fi
  mapfile -t options <<<"$split"
  for word in "${options[@]}"; do
    [ -z "$word" ] || words+=("$word")
  done
  "$home/.venv/bin/natlab" matrix --report "$report" "${words[@]}" || status=$?
  # After a mistake in the options a summary there is an older run's.
  if [ "$status" != 2 ] && [ -n "${GITHUB_STEP_SUMMARY:-}" ] && [ -e "$report/summary.md" ]; then
    cat "$report/summary.md" >>"$GITHUB_STEP_SUMMARY"
  fi
  return "$status"
}

case ${1:-} in
  setup) setup ;;
  matrix) matrix ;;
  *) echo "usage: $0 setup|matrix" >&2; exit 2 ;;
esac

#!/usr/bin/env bash
# Runs a part of `make soak` and writes its row in docs/soak.md: soak.sh PART COMMAND...
set -euo pipefail
part=$1
shift
page=$(dirname "$0")/../docs/soak.md
output=$(mktemp)
trap 'rm -f "$output" "$output.page"' EXIT

status=0
"$@" 2>&1 | tee "$output" || status=$?
# The last line that cargo's tests or `make fuzz` end with, up to its first semicolon.
result=$(sed -nE 's/^(test )?result: ([^;]*).*/\2/p' "$output" | tail -n 1)
if [ "$status" = 0 ]; then
  result=${result:-ok}
else
  result="**failed**, exit status $status"
fi
awk -v part="\`$part\`" -v date="$(date +%F)" -v minutes="$(((SECONDS + 59) / 60))" -v result="$result" '
  BEGIN { FS = " [|] "; OFS = " | " }
  $1 == "| " part { print $1, $2, date, minutes, result " |"; found = 1; next }
  { print }
  END { exit !found }' "$page" >"$output.page" || { echo "docs/soak.md has no row for $part" >&2; exit 1; }
cat "$output.page" >"$page"
exit "$status"

#!/usr/bin/env bash
# Makes in dist/ what a release holds: sdist, wheel, one-file program, manual pages, shells' completion.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$PWD/.venv/bin/python
commands='nat-traversal=both traversal-server=server traversal-client=client'

rm -rf dist
mkdir -p dist/man dist/completion
# the same archives from the same commit: no file is newer than it
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

"$python" -m build --no-isolation --outdir dist . >/dev/null
"$python" -m twine check --strict dist/*.whl dist/*.tar.gz

# One file for hosts without pip. It uses the system's `cryptography`, which holds compiled code.
staged=$(mktemp -d)
trap 'rm -rf "$staged" nat_traversal.egg-info build/lib build/bdist.*' EXIT
"$python" -m zipfile -e dist/*.whl "$staged"
rm -rf "$staged"/natlab "$staged"/*.dist-info "$staged"/*.data
cp nat_traversal/__main__.py "$staged"
find "$staged" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
"$python" -m zipapp "$staged" --python '/usr/bin/env python3' --compress --output dist/nat-traversal.pyz

for entry in $commands; do
  name=${entry%=*} parser=${entry#*=}
  PYTHONPATH=. .venv/bin/argparse-manpage --module scripts.parsers --function "$parser" --prog "$name" \
    --project-name nat_traversal --manual-title 'User Commands' --output "dist/man/$name.1"
  for shell in bash zsh fish; do
    "$python" -m shtab --shell "$shell" --prog "$name" "scripts.parsers.$parser" >"dist/completion/$name.$shell"
  done
done
chmod 755 dist/nat-traversal.pyz
dist/nat-traversal.pyz --version >/dev/null
for shell in bash zsh fish; do
  if command -v "$shell" >/dev/null; then
    for name in nat-traversal traversal-server traversal-client; do "$shell" -n "dist/completion/$name.$shell"; done
  fi
done
find dist -type f | sort

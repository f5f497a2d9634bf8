#!/bin/sh
# Fetches the libraries of the console from npm and writes them to static/vendor, with their licences. Run it
# only to change a version: the files that it writes are committed, and neither a build nor a user needs npm.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
to="$here/static/vendor"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts htm@3.1.1 uplot@1.6.32 preact@10.5.13
mkdir -p "$to"
# One module with preact, its hooks and htm, as htm publishes it.
cp node_modules/htm/preact/standalone.module.js "$to/preact.js"
# uPlot's module is not minified; the minified script becomes a module by its last line.
{ cat node_modules/uplot/dist/uPlot.iife.min.js; printf '\nexport default uPlot;\n'; } >"$to/uplot.js"
cp node_modules/uplot/dist/uPlot.min.css "$to/uplot.css"
{
    echo "preact.js: htm 3.1.1 (Apache-2.0) with preact (MIT). uplot.js, uplot.css: uPlot 1.6.32 (MIT)."
    for name in htm preact uplot; do
        printf '\n---- %s ----\n\n' "$name"
        cat node_modules/$name/LICENSE
    done
} >"$to/LICENSES.txt"

#!/bin/sh
# Installs what Skiff needs and is not there yet: Debian/Ubuntu packages, the pinned Bun, the npm packages.
# Says what it does; does nothing the second time.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
say() { echo "skiff set-up: $*"; }

missing=""
need() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing="$missing $2"; }
need crun crun
need conmon conmon
need nft nftables
[ -f /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
if [ -n "$missing" ]; then
  if [ "$(id -u)" != 0 ]; then
    say "these packages are missing and need root to install:$missing (run: sudo apt-get install$missing)" >&2
    exit 1
  fi
  if ! command -v apt-get >/dev/null 2>&1; then
    say "these programs are missing, and this is no Debian or Ubuntu; install them with your package tool:$missing" >&2
    exit 1
  fi
  say "installing packages:$missing"
  log=$(mktemp)
  if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    say "apt-get failed" >&2
    exit 1
  fi
  rm -f "$log"
fi

mkdir -p "$here/.cache"
if [ ! -d "$here/node_modules/@oven" ] || [ "$here/package-lock.json" -nt "$here/node_modules/.package-lock.json" ]; then
  say "installing npm packages, with the Bun version that package.json pins (npm ci)"
  log=$(mktemp)
  if ! (cd "$here" && npm ci --no-audit --no-fund) >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    say "npm ci failed" >&2
    exit 1
  fi
  rm -f "$log"
fi
# The runtime itself: in its platform package, or moved next to the wrapper where npm runs install scripts.
bun=""
for candidate in "$here"/node_modules/@oven/bun-linux-*/bin/bun "$here"/node_modules/bun/bin/bun.exe; do
  [ -x "$candidate" ] && "$candidate" --revision >/dev/null 2>&1 && bun=$candidate && break
done
if [ -z "$bun" ]; then
  say "npm did not bring a Bun for this machine ($(uname -m))" >&2
  exit 1
fi
ln -sf "$bun" "$here/.cache/bun"
: >"$here/.cache/setup-done"
say "ready"

#!/usr/bin/env bash
# Install what requirements/debian.txt names and this machine lacks, where that is possible: root on Debian or Ubuntu.
# Elsewhere say so in one sentence and go on: what needs them falls back or skips with a reason.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v dpkg-query >/dev/null || { echo "Not Debian: please install the counterparts of requirements/debian.txt yourself."; exit 0; }
missing=()
while read -r package; do
  [[ $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) == *" installed" ]] || missing+=("$package")
done < <(grep -v '^#' requirements/debian.txt)
((${#missing[@]})) || exit 0
if ((EUID != 0)); then
  echo "Missing Debian packages: ${missing[*]}. Install them with: sudo apt-get install ${missing[*]}"
  exit 0
fi
echo "Installing Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null \
  || echo "Could not install ${missing[*]}; what needs them falls back or skips."

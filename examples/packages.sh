#!/usr/bin/env bash
# Installs what building and running Quernel needs, and the packages named as arguments; says what it does.
# Nothing missing: nothing done. Written for Debian 12; Ubuntu 24.04 is scripted too, but untested.
set -euo pipefail

needed=(build-essential cmake pkg-config ocl-icd-opencl-dev opencl-headers pocl-opencl-icd
    libjansson-dev libpcre2-dev libxxhash-dev libclblast-dev libopenmpi-dev openmpi-bin "$@")
missing=()
for package in "${needed[@]}"; do
    dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q 'install ok installed' ||
        missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

sudo=()
if [ "$(id -u)" -ne 0 ]; then
    sudo=(sudo)
    echo "sudo may ask for your password, to install: ${missing[*]}"
else
    echo "installing: ${missing[*]}"
fi
"${sudo[@]}" apt-get update -q
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"

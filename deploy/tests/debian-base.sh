#!/bin/sh
# Makes a base for the image where no registry of images is reached: debian-base.sh TARBALL
set -eu
root=$(mktemp --directory)
trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv bookworm "$root" >&2
# How this machine reaches its package registries.
cp --dereference /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
test ! -e /etc/pip.conf || cp /etc/pip.conf "$root/etc/"
tar --directory "$root" --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' --create --file "$1" .

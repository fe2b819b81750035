#!/bin/sh
# Makes a Debian for the image to stand on, and for systemd to boot with the unit: debian-base.sh TARBALL
set -eu
root=$(mktemp --directory)
trap 'rm -rf "$root"' EXIT
chmod 0755 "$root"
debootstrap --variant=minbase --include=ca-certificates,procps,python3,python3-venv,systemd-sysv bookworm "$root" >&2
# How this machine reaches its package registries.
cp --dereference /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
test ! -e /etc/pip.conf || cp /etc/pip.conf "$root/etc/"
tar --directory "$root" --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' --create --file "$1" .

#!/bin/sh
# Creates a Debian to run things in: debian-base.sh TARBALL SUITE PACKAGES
set -eu
root=$(mktemp --directory)
trap 'rm -rf "$root"' EXIT
chmod 0755 "$root"
debootstrap --variant=minbase --include="ca-certificates,$3" "$2" "$root" >&2
# Where this machine gets packages from.
cp --dereference /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
test ! -e /etc/pip.conf || cp /etc/pip.conf "$root/etc/"
tar --directory "$root" --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' --create --file "$1" .

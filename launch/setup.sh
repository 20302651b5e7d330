#!/bin/sh
# usage: setup.sh [--test] [--no-install]
#
# Installs the packages that bootsonde needs and that are missing: apt's on Debian and its kin, pkg's on FreeBSD.
# Prints each command before it runs it.
#
#   --test        also those that test.sh needs
#   --no-install  only print the command
#
# Exit status: 0 nothing is missing any more, 2 wrong command line, 3 something is missing.
set -u
unset CDPATH
here=$(cd "$(dirname "$0")" && pwd) || exit 3
# shellcheck source=launch/lib/say.sh
. "$here/lib/say.sh"
# shellcheck source=launch/lib/setup.sh
. "$here/lib/setup.sh"

what='run' no_install=''
for option in "$@"; do
    case $option in
        --help)
            header_help "$0"
            exit 0
            ;;
        --test) what='test' ;;
        --no-install) no_install=yes ;;
        *) usage "unknown option $option" ;;
    esac
done
setup "$what" "$no_install"

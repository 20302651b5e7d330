#!/bin/sh
# usage: demo.sh [--no-install]
#
# From nothing to a debugged boot: installs what is missing, builds, boots the reference guest in a microvm and runs
# the pvclock scenario on it. Safe to repeat, and quick then.
#
#   --no-install  when packages are missing only print the command that installs them, and exit with 3
#
# Exit status: that of `bootsonde run`; 2 for a wrong command line, 3 when something needed is not there.
set -u
unset CDPATH
here=$(cd -P "$(dirname "$0")" && pwd) || exit 3
# shellcheck source=launch/lib/say.sh
. "$here/lib/say.sh"
# shellcheck source=launch/lib/setup.sh
. "$here/lib/setup.sh"

no_install=''
for option in "$@"; do
    case $option in
        --help)
            header_help "$0"
            exit 0
            ;;
        --no-install) no_install=yes ;;
        *) usage "unknown option $option" ;;
    esac
done

setup run "$no_install" || exit

cd "${here%/*}" || exit 3
if [ ! -f build/build.ninja ]; then
    say 'demo: preparing the build in build/'
    meson setup build >&2 || missing 'meson setup build failed: see above'
fi
# The same as `meson compile -C build`, without its start-up time.
ninja -C build --quiet >&2 || missing 'the build failed: see above'

say 'demo: booting the reference guest and running scenarios/pvclock.py on it, as this does:'
say '      launch/bootsonde run scenarios/pvclock.py --echo'
exec launch/bootsonde run scenarios/pvclock.py --echo

#!/bin/sh
# usage: test.sh [--long] [--no-install] [-- PYTEST-ARGS]
#
# Installs what is missing, builds with two compilers and runs every check and test. Safe to repeat, and quick then:
# its build folders, build-gcc and build-clang, are kept. A step that fails does not keep the others from running.
#
#   --long        also the tests that take minutes
#   --no-install  when packages are missing only print the command that installs them, and exit with 3
#
# Exit status: 0 every step passed and tests ran, 1 one failed, 2 wrong command line, 3 something needed is missing.
# shellcheck disable=SC2317  # step calls the functions
set -u
unset CDPATH
here=$(cd -P "$(dirname "$0")" && pwd) || exit 3
# shellcheck source=launch/lib/say.sh
. "$here/lib/say.sh"
# shellcheck source=launch/lib/setup.sh
. "$here/lib/setup.sh"
# shellcheck source=launch/lib/steps.sh
. "$here/lib/steps.sh"

long='' no_install=''
while [ $# -gt 0 ]; do
    case $1 in
        --help)
            header_help "$0"
            exit 0
            ;;
        --long) long=--long ;;
        --no-install) no_install=yes ;;
        --)
            shift
            break
            ;;
        *) usage "unknown option $1 (what is meant for pytest goes after --)" ;;
    esac
    shift
done

setup test "$no_install" || exit
cd "${here%/*}" || exit 3

# configure FOLDER COMPILER OPTION...: a build folder, made once; a broken one is made afresh.
configure() {
    configure_folder=$1
    configure_cc=$2
    shift 2
    [ ! -f "$configure_folder/build.ninja" ] || return 0
    rm -rf "$configure_folder"
    CC=$configure_cc meson setup "$configure_folder" -Dwerror=true "$@"
}

# Both builds go on past an error (-k 0): what can be built is tested.
build_gcc() {
    configure build-gcc gcc && ninja -C build-gcc -k 0 --quiet
}

build_clang() {
    configure build-clang clang -Db_sanitize=address,undefined -Db_lundef=false && ninja -C build-clang -k 0 --quiet
}

# meson_test FOLDER: the cmocka tests, which a build without them must not pass silently.
meson_test() {
    if [ -z "$(meson test -C "$1" --no-rebuild --list 2>/dev/null)" ]; then
        skip 'no unit tests in this build'
        return
    fi
    meson test -C "$1" --no-rebuild --print-errorlogs
}

# The fuzz targets on their seeds and a little beyond: enough to see that what they read is still read. run.sh --seconds 600
# is for who changes a reader.
fuzz() {
    if [ -n "$long" ]; then
        cprobe/fuzz/run.sh --build build-clang --seconds 20
    else
        cprobe/fuzz/run.sh --build build-clang --seconds 2
    fi
}

# All shell scripts, found by their name or first line.
shell_scripts() {
    find launch guest cprobe .ci scenarios bench docs -type f ! -name '*.py' ! -name '*.c' ! -name '*.h' |
        while read -r script; do
            case $script in
                *.sh) echo "$script" ;;
                *) [ "$(head -c 9 "$script" | tr -d '\0')" != '#!/bin/sh' ] || echo "$script" ;;
            esac
        done
}

check_shell() {
    # shellcheck disable=SC2046  # names without blanks
    shellcheck -x -P . $(shell_scripts)
}

check_flake8() {
    "$PYTHON" -m flake8
}

check_types() {
    "$PYTHON" -m mypy
}

# Real input for tests/kernels. Where it cannot be had, those tests are skipped and say so.
fetch() {
    ./launch/fetch.sh "$1" 2>"$steps_folder/fetch"
    status=$?
    cat "$steps_folder/fetch" >&2
    if [ "$status" -eq 3 ]; then
        skip "$(tail -n 1 "$steps_folder/fetch")"
        status=77
    fi
    return "$status"
}

# As many tests at a time as there are CPUs, which one test does not keep busy; but those of one file one after another,
# as they share boots.
workers=$(getconf _NPROCESSORS_ONLN 2>/dev/null) || workers=1

# Tests ran, or it is not green: pytest itself is content when every test was skipped.
tests() {
    {
        # shellcheck disable=SC2086  # --long or nothing
        BOOTSONDE_BUILD=$PWD/build-gcc PYTHONSAFEPATH=1 "$PYTHON" -m pytest --timeout 300 -n "$workers" --dist loadfile \
            $long "$@" </dev/null
        echo $? >"$steps_folder/pytest.status"
    } 2>&1 | tee "$steps_folder/pytest.log"
    tail -n 1 "$steps_folder/pytest.log" | grep -q '[1-9][0-9]* passed' || {
        echo 'no test passed'
        return 1
    }
    return "$(cat "$steps_folder/pytest.status")"
}

begin_steps
step 'build with gcc, warnings are errors' build_gcc
step 'build with clang, ASan and UBSan' build_clang
step 'shellcheck' check_shell
step 'flake8' check_flake8
step 'mypy' check_types
step 'unit tests, gcc' meson_test build-gcc
step 'unit tests, clang with sanitizers' meson_test build-clang
step 'fuzz targets' fuzz
step 'fetch a Debian kernel with debug data' fetch debian-kernel
step 'fetch kernels that are no Linux' fetch other-kernels
step 'fetch QEMU from backports' fetch qemu-backports
step 'fetch GDB from trixie' fetch gdb-trixie
step 'pytest' tests "$@"
end_steps

#!/bin/sh
# usage: run.sh [--seconds N] [--build FOLDER] [TARGET...]
#
# Runs the fuzz targets, all of them or those named, N seconds each (2), two at a time, on their seeds in corpus/. What
# they find beyond these is kept in FOLDER/cprobe/fuzz/found/TARGET and read again by the next run; an input that breaks
# one is FOLDER/cprobe/fuzz/broken/TARGET-..., and FOLDER/cprobe/fuzz/fuzz_TARGET FILE repeats it.
#
#   --seconds N     for each target; 600 is what a change to a reader wants
#   --build FOLDER  a Meson build by clang with AddressSanitizer (build-clang)
#
# Exit status: 0 all clean, 1 something was found, 2 wrong command line, 3 there is no such build.
set -u
unset CDPATH
here=$(cd "$(dirname "$0")" && pwd) || exit 3
build=$here/../../build-clang seconds=2 names=''
while [ $# -gt 0 ]; do
    case $1 in
        --help)
            sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
            exit 0
            ;;
        --seconds | --build)
            [ $# -gt 1 ] || {
                echo "run.sh: $1: give a value" >&2
                exit 2
            }
            [ "$1" = --build ] && build=$2
            [ "$1" = --seconds ] && seconds=$2
            shift
            ;;
        -*)
            echo "run.sh: unknown option $1: see run.sh --help" >&2
            exit 2
            ;;
        *) names="$names $1" ;;
    esac
    shift
done
case $seconds in '' | *[!0-9]*)
    echo "run.sh: --seconds: give a number" >&2
    exit 2
    ;;
esac
programs=$build/cprobe/fuzz
if [ -z "$names" ]; then
    for program in "$programs"/fuzz_*; do
        [ ! -f "$program" ] || [ ! -x "$program" ] || names="$names ${program##*/fuzz_}"
    done
fi
[ -n "$names" ] || {
    echo "run.sh: $programs has no targets: CC=clang meson setup FOLDER -Db_sanitize=address,undefined -Db_lundef=false" >&2
    exit 3
}
mkdir -p "$programs/broken" || exit 3
temporary=$(mktemp -d) || exit 3
trap 'rm -rf "$temporary"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# fuzz TARGET: one run; its last lines and, if it was not clean, the end of its log.
fuzz() {
    mkdir -p "$programs/found/$1" || return 1
    TMPDIR=$temporary UBSAN_OPTIONS=halt_on_error=1 "$programs/fuzz_$1" -max_total_time="$seconds" -max_len=16384 \
        -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=512 -print_final_stats=1 \
        -artifact_prefix="$programs/broken/$1-" "$programs/found/$1" "$here/corpus/$1" >"$temporary/$1.log" 2>&1
    fuzz_status=$?
    awk -v name="$1" '/^stat::number_of_executed_units/ { runs = $2 } /cov: / { for (i = 1; i < NF; i++)
        if ($i == "cov:") cov = $(i + 1) } END { printf "%-10s %10d runs, %6d edges", name, runs, cov }' "$temporary/$1.log"
    if [ "$fuzz_status" -eq 0 ]; then
        echo ', clean'
    else
        echo ", BROKEN (status $fuzz_status)"
        tail -n 40 "$temporary/$1.log"
    fi
    return "$fuzz_status"
}

for name in $names; do
    [ -x "$programs/fuzz_$name" ] || {
        echo "run.sh: there is no target $name in $programs" >&2
        exit 2
    }
done
status=0
# shellcheck disable=SC2086  # a list of words
set -- $names
while [ $# -gt 0 ]; do
    fuzz "$1" >"$temporary/first" 2>&1 &
    first=$!
    [ $# -lt 2 ] || fuzz "$2" || status=1
    wait "$first" || status=1
    cat "$temporary/first"
    shift
    [ $# -lt 1 ] || shift
done
exit "$status"

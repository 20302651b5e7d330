# Sourced by setup.sh, demo.sh and test.sh: which packages the project needs, and how they are installed. POSIX sh.
# Afterwards PYTHON, GDB and QEMU are set and exported.
# shellcheck shell=sh
# shellcheck disable=SC2154  # prog: say.sh

# What it takes to build and run; A|B: either will do.
debian_run='gdb qemu-system-x86 python3 meson ninja-build gcc libc6-dev binutils pkg-config libelf-dev libdw-dev
    zlib1g-dev libzstd-dev libzydis-dev libjansson-dev'
debian_test='clang libclang-rt-14-dev|libclang-rt-dev|libclang-common-14-dev libcmocka-dev python3-pytest
    python3-pytest-xdist python3-pytest-timeout python3-pexpect python3-mypy python3-typeshed python3-flake8 shellcheck
    tmux procps python3-setuptools python3-wheel python3-pip python3-venv zsh mandoc groff-base
    dwarves elfutils llvm python3-drgn'

# FreeBSD has clang, libc headers, zlib and ps in its base system. @ stands for the version of Python, as in py311-pytest.
freebsd_run='gdb qemu|qemu-nox11 python3 meson ninja gcc binutils pkgconf elfutils zstd zydis jansson'
freebsd_test='cmocka @-pytest @-pytest-xdist @-pytest-timeout @-pexpect @-mypy @-types-gdb @-flake8 hs-ShellCheck tmux
    @-setuptools @-wheel @-pip bash zsh groff llvm'

# choose_tools: the Python that GDB embeds, which on Debian is the system's and not whichever comes first on PATH.
choose_tools() {
    if [ -z "${PYTHON:-}" ]; then
        PYTHON=python3
        if [ -f /etc/debian_version ] && [ -x /usr/bin/python3 ]; then
            PYTHON=/usr/bin/python3
        fi
    fi
    GDB=${GDB:-gdb}
    QEMU=${QEMU:-qemu-system-x86_64}
    export PYTHON GDB QEMU
}

# lacking INSTALLED WANTED...: those of the wanted ones, each A or A|B, of which none is in the list.
lacking() {
    lacking_have=" $1 "
    shift
    for lacking_one in "$@"; do
        lacking_rest=$lacking_one'|'
        while [ -n "$lacking_rest" ]; do
            case $lacking_have in *" ${lacking_rest%%|*} "*) continue 2 ;; esac
            lacking_rest=${lacking_rest#*|}
        done
        printf '%s\n' "$lacking_one"
    done
}

# first_known KNOWN A|B: the first of the alternatives that is in the list, else the first.
first_known() {
    first_rest=$2'|'
    while [ -n "$first_rest" ]; do
        case " $1 " in
            *" ${first_rest%%|*} "*)
                printf '%s\n' "${first_rest%%|*}"
                return 0
                ;;
        esac
        first_rest=${first_rest#*|}
    done
    printf '%s\n' "${2%%|*}"
    return 1
}

# known WANTED...: those that apt has a version of to install, and their alternatives.
known() {
    # shellcheck disable=SC2046  # words
    apt-cache policy $(echo "$@" | tr '|' ' ') 2>/dev/null | awk '
        /^[^ ]/ { sub(/:$/, "", $1); name = $1 }
        $1 == "Candidate:" && $2 != "(none)" { printf "%s ", name }'
}

# debian_missing WANTED...
debian_missing() {
    # shellcheck disable=SC2016,SC2046  # dpkg-query's own variables; words
    missing_have=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $(echo "$@" | tr '|' ' ') 2>/dev/null |
        sed -n 's/ installed$//p' | tr '\n' ' ')
    lacking "$missing_have" "$@"
}

# as_root COMMAND...: print it, then run it, through sudo where that is needed.
as_root() {
    [ "$(id -u)" -eq 0 ] || set -- sudo "$@"
    say "+ $(quote "$@")"
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null 2>&1 ||
        missing 'installing needs root, and there is no sudo: run the line above as root'
    "$@" </dev/null
}

setup_debian() {
    # shellcheck disable=SC2046,SC2086  # lists of words
    set -- $(debian_missing $wanted)
    [ $# -gt 0 ] || return 0

    setup_update=''
    setup_known=$(known "$@")
    for setup_one in "$@"; do
        first_known "$setup_known" "$setup_one" >/dev/null || setup_update=yes
    done
    if [ -n "$setup_update" ] && [ -z "$no_install" ]; then
        as_root apt-get update -q || missing 'apt-get update failed: is there a network?'
        setup_known=$(known "$@")
    fi
    # shellcheck disable=SC2046  # words
    set -- $(for setup_one in "$@"; do first_known "$setup_known" "$setup_one"; done)
    set -- env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
    if [ -n "$no_install" ]; then
        say "$prog: these packages are missing; this installs them:"
        [ -z "$setup_update" ] || quote apt-get update
        quote "$@"
        return 3
    fi
    as_root "$@" && return 0
    # The list of packages may have been too old.
    as_root apt-get update -q && as_root "$@" && return 0
    missing 'installing packages failed: see above'
}

setup_freebsd() {
    setup_py=$("$PYTHON" -c 'import sys; print("py3%d" % sys.version_info[1])' 2>/dev/null) || setup_py=py311
    # shellcheck disable=SC2046,SC2086  # lists of words
    set -- $(for setup_one in $wanted; do
        setup_rest=$setup_one'|'
        while [ -n "$setup_rest" ]; do
            ! pkg info -e "$(echo "${setup_rest%%|*}" | sed "s/^@/$setup_py/")" || continue 2
            setup_rest=${setup_rest#*|}
        done
        echo "${setup_one%%|*}" | sed "s/^@/$setup_py/"
    done)
    [ $# -gt 0 ] || return 0
    if [ -n "$no_install" ]; then
        say "$prog: these packages are missing; this installs them:"
        quote pkg install -y "$@"
        return 3
    fi
    as_root pkg install -y "$@" || missing 'installing packages failed: see above'
}

# Other systems: what must be there is named, and looked for by command.
setup_other() {
    for setup_one in gdb "$QEMU" "$PYTHON" meson ninja cc pkg-config objcopy; do
        command -v "$setup_one" >/dev/null 2>&1 || {
            say "$prog: there is no $setup_one, and this system's packages are unknown here. Needed are: gdb with Python," \
                'QEMU for x86_64, Python 3.9, meson, ninja, a C compiler, binutils, pkg-config, elfutils (libelf, libdw),' \
                'zlib, zstd, Zydis and jansson; for the tests also clang, cmocka, shellcheck, tmux and for Python pytest, pytest-xdist,' \
                'pytest-timeout, pexpect, mypy, flake8 and setuptools, zsh, mandoc and groff; to compare with also' \
                'llvm, pahole and drgn'
            return 3
        }
    done
}

# setup run|test [NO_INSTALL]: install what is missing. With NO_INSTALL only say what, and return 3 if anything is.
setup() {
    no_install=${2:-}
    choose_tools
    if command -v dpkg-query >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1; then
        wanted=$debian_run
        [ "$1" = run ] || wanted="$debian_run $debian_test"
        setup_debian
    elif [ "$(uname)" = FreeBSD ]; then
        wanted=$freebsd_run
        [ "$1" = run ] || wanted="$freebsd_run $freebsd_test"
        setup_freebsd
    else
        setup_other
    fi
}

# Sourced by every script of launch/: how they speak, fail and quote. POSIX sh.
# `prog` is the name that messages begin with.
# shellcheck shell=sh
prog=${prog:-${0##*/}}

say() {
    printf '%s\n' "$*" >&2
}

# usage MESSAGE: the command line is wrong. Exit 2.
usage() {
    printf '%s: %s (see %s --help)\n' "$prog" "$*" "$prog" >&2
    exit 2
}

# missing MESSAGE: something that is needed is not there or cannot be used. Exit 3.
missing() {
    printf '%s: %s\n' "$prog" "$*" >&2
    exit 3
}

# header_help FILE: the comment at a script's top is its help.
header_help() {
    sed -n -e '1d' -e '/^#/!q' -e 's/^# \{0,1\}//p' "$1"
}

# quote WORD...: the words on one line, quoted so that a shell reads them back unchanged.
quote() {
    quote_gap=''
    for quote_word in "$@"; do
        case $quote_word in
            '' | *[!A-Za-z0-9_/.,:=+@%-]*)
                # The x keeps trailing newlines through the command substitution.
                quote_word=$(printf '%sx' "$quote_word" | sed "s/'/'\\\\''/g")
                quote_word="'${quote_word%x}'"
                ;;
        esac
        printf '%s%s' "$quote_gap" "$quote_word"
        quote_gap=' '
    done
    printf '\n'
}

# absolute PATH: the path from the root, without resolving links.
absolute() {
    case $1 in
        /*) printf '%s\n' "$1" ;;
        *) printf '%s/%s\n' "${PWD%/}" "$1" ;;
    esac
}

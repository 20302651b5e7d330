# Sourced by test.sh: runs steps one after the other and ends with a table of them. POSIX sh.
# shellcheck shell=sh

# begin_steps: a folder for notes, removed at the end.
begin_steps() {
    steps_folder=$(mktemp -d) || exit 3
    trap 'rm -rf "$steps_folder"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    : >"$steps_folder/table"
    steps_failed=0
}

# skip REASON: what a step calls and returns with when it cannot run here.
skip() {
    skip_reason=$*
    return 77
}

# step TITLE FUNCTION [ARGUMENT]...: run it; 0 is ran, 77 is skipped, all else is failed.
step() {
    step_title=$1
    shift
    printf '\n== %s\n' "$step_title"
    skip_reason=''
    step_begin=$(date +%s)
    "$@"
    step_status=$?
    step_seconds=$(($(date +%s) - step_begin))
    case $step_status in
        0) step_word=ran ;;
        77) step_word="skipped: $skip_reason" ;;
        *)
            step_word="FAILED with status $step_status"
            steps_failed=$((steps_failed + 1))
            ;;
    esac
    printf '%-40s %4d s  %s\n' "$step_title" "$step_seconds" "$step_word" >>"$steps_folder/table"
}

# end_steps: the table, and what pytest said last once more, where a reader looks for it. Exits.
end_steps() {
    printf '\n== summary\n'
    cat "$steps_folder/table"
    [ ! -s "$steps_folder/pytest.log" ] || tail -n 1 "$steps_folder/pytest.log"
    [ "$steps_failed" -eq 0 ] || {
        echo "$steps_failed steps failed"
        exit 1
    }
    exit 0
}

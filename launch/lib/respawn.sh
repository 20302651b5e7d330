# Sourced by microvm_debug.sh, whose state, stub, qmp, kernel and functions it uses: the loop of --respawn. POSIX sh.
# shellcheck shell=sh
# shellcheck disable=SC2154  # set by microvm_debug.sh

# end_child: ask QEMU to end, and insist after 3 seconds.
end_child() {
    [ -n "$child" ] || return 0
    kill -TERM "$child" 2>/dev/null
    tries=30
    while kill -0 "$child" 2>/dev/null && [ $tries -gt 0 ]; do
        sleep 0.1
        tries=$((tries - 1))
    done
    kill -KILL "$child" 2>/dev/null
    wait "$child" 2>/dev/null
    child=''
}

# leave STATUS: the end of the loop, however it comes.
leave() {
    trap '' HUP INT TERM
    end_child
    [ -z "$terminal" ] || stty "$terminal" 2>/dev/null
    [ ! -f "$state" ] || state_remove "$state" "$folder"
    trap - EXIT
    exit "$1"
}

# respawn COMMAND...: start it again and again, until a signal or a start that fails at once. Does not return.
respawn() {
    child=''
    terminal=$(stty -g 2>/dev/null) || terminal=''
    trap 'leave 129' HUP
    trap 'leave 130' INT
    trap 'leave 143' TERM
    trap 'leave $?' EXIT

    exec 3<&0 # a command in the background reads /dev/null unless told otherwise
    while :; do
        started=$(date +%s)
        "$@" <&3 3<&- &
        child=$!
        write_state "$child"
        wait "$child"
        status=$?
        child=''
        [ -z "$terminal" ] || stty "$terminal" 2>/dev/null

        # QEMU says 1 for what it cannot start. A guest can end with 1 too, but not before it has run.
        if [ $(($(date +%s) - started)) -le 1 ] && { [ $status -eq 1 ] || [ $status -gt 128 ]; }; then
            say "$prog: QEMU failed at once with status $status: not starting it again"
            leave $status
        fi
        say "bootsonde: guest exited with status $status; starting again, Ctrl-C here ends"
        sleep 1
        told=''
        while problem=$(kernel_problem "$kernel") && [ -n "$problem" ]; do
            [ -n "$told" ] || say "bootsonde: waiting for the kernel: $problem"
            told=yes
            sleep 1
        done
        case $stub in unix:*) free_socket --stub "${stub#unix:}" ;; esac
        [ -z "$qmp" ] || free_socket --qmp "$qmp"
    done
}

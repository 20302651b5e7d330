# Sourced: where running guests are written down, and who still listens where. POSIX sh.
# One file NAME.state a guest, key=value a line: what the Python side and the next start read.
# shellcheck shell=sh

# run_folder: the user's folder for sockets, state files and console logs. The same rule is in gdb/bootsonde/model/guests.py.
run_folder() {
    if [ -n "${XDG_RUNTIME_DIR:-}" ] && [ -d "$XDG_RUNTIME_DIR" ]; then
        printf '%s/bootsonde\n' "${XDG_RUNTIME_DIR%/}"
    else
        run_tmp=${TMPDIR:-/tmp}
        printf '%s/bootsonde-%s\n' "${run_tmp%/}" "$(id -u)"
    fi
}

# make_run_folder FOLDER: make it, or make sure that it is ours alone.
make_run_folder() {
    mkdir -m 700 -- "$1" 2>/dev/null && return
    [ ! -h "$1" ] || missing "$1 is a symbolic link, not a folder of yours: remove it"
    [ -d "$1" ] || missing "cannot make the folder $1 for sockets and state files: set TMPDIR or XDG_RUNTIME_DIR"
    # shellcheck disable=SC2012  # POSIX has no stat(1); -n and -d make the columns safe to read
    run_owner=$(ls -ldn -- "$1" | awk '{ print substr($1, 1, 10), $3 }')
    [ "$run_owner" = "drwx------ $(id -u)" ] ||
        missing "$1 must be yours alone (found: mode and owner $run_owner): chmod 700 it, or remove it"
}

# state_get FILE KEY: the value of a key.
state_get() {
    sed -n "s/^$2=//p" "$1" | head -n 1
}

# alive PID NAME: does that process still run our guest? A recycled process number is not taken for it.
alive() {
    case $1 in '' | *[!0-9]*) return 1 ;; esac
    kill -0 "$1" 2>/dev/null || return 1
    command -v ps >/dev/null 2>&1 || return 0
    case $(ps -ww -o args= -p "$1" 2>/dev/null) in
        *"-name $2 "* | *microvm_debug*) return 0 ;;
    esac
    return 1
}

# state_alive FILE: is the guest of this state file, or the loop that restarts it, still there?
state_alive() {
    state_name=${1##*/}
    state_name=${state_name%.state}
    alive "$(state_get "$1" pid)" "$state_name" || alive "$(state_get "$1" launcher)" "$state_name"
}

# state_remove FILE FOLDER: forget a guest, with those of its sockets and logs that lie in our folder.
state_remove() {
    for state_key in stub qmp console; do
        state_path=$(state_get "$1" "$state_key")
        case ${state_path#unix:} in
            "$2"/*/*) ;;
            "$2"/*) rm -f -- "${state_path#unix:}" ;;
        esac
    done
    rm -f -- "$1"
}

# sweep FOLDER: forget the guests whose process is dead.
sweep() {
    for sweep_file in "$1"/*.state; do
        [ -f "$sweep_file" ] || continue
        state_alive "$sweep_file" || state_remove "$sweep_file" "$1"
    done
}

# socket_state PATH: prints living, stale or other. A connect would stop a guest whose stub listens there, so this
# asks with the wrong socket type: a living listener refuses it as the wrong type, a dead one as nobody at home.
# Without Python it cannot tell and says living: better refused than stolen.
socket_state() {
    "${PYTHON:-python3}" -I -S -c '
import errno, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
try:
    s.connect(sys.argv[1])
except OSError as e:
    print({errno.ECONNREFUSED: "stale", errno.EPROTOTYPE: "living"}.get(e.errno, "other"))
else:
    print("living")
' "$1" 2>/dev/null || echo living
}

# port_taken HOST PORT: does somebody listen there? Asked by binding, which disturbs nobody. Without Python: no, and
# QEMU itself will say it.
port_taken() {
    "${PYTHON:-python3}" -I -S -c '
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    s.bind((sys.argv[1], int(sys.argv[2])))
    s.listen(1)
except OSError as e:
    print(e.strerror)
    sys.exit(9)
' "$1" "$2" 2>/dev/null
    [ $? -eq 9 ]
}

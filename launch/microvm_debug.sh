#!/bin/sh
# usage: microvm_debug.sh [OPTIONS] KERNEL [DISK] [-- QEMU-ARGS]
#
# Starts KERNEL in a QEMU microvm that waits at its first instruction for a debugger. The console is this terminal:
# Ctrl-C goes to the guest, Ctrl-A X ends it, Ctrl-A C switches to QEMU's monitor and back.
#
#   --kernel K, --disk D  the same as KERNEL and DISK
#   --initrd FILE         initial RAM disk
#   --append S            kernel command line
#   --memory M            memory, such as 512M (256M)
#   --smp N               number of vCPUs (1)
#   --cpu C               CPU model with flags (max)
#   --machine OPTS        more options of the microvm machine, such as rtc=on
#   --accel tcg|kvm       accelerator (tcg); kvm is tried first and refused when it does not work
#   --net OPTS            a network card; OPTS as for QEMU's -netdev, such as user
#   --stub ADDRESS        where the debugger finds the guest: PORT, HOST:PORT (loopback only), unix:PATH, a path, or
#                         none (127.0.0.1:1234)
#   --qmp SOCKET          also a QMP monitor on that unix socket
#   --console FILE        where the console is logged (NAME.console in the run folder)
#   --plugin FILE[,ARGS]  a TCG plugin; may be given again
#   --icount SPEC         virtual time by instruction count, such as shift=0,sleep=off; fixes seed and RTC as well
#   --rr SPEC             record:FILE or replay:FILE
#   --name NAME           the name of this guest (guest-PID)
#   --write               let the guest change DISK; without it changes are dropped at the end
#   --no-wait             run at once, do not wait for a debugger
#   --respawn             start QEMU again after each exit, with the kernel as it is by then
#   --dry-run             print the command instead of running it
#
# $QEMU names the QEMU to use (qemu-system-x86_64). While a guest runs, NAME.state in the run folder
# ($XDG_RUNTIME_DIR/bootsonde, else ${TMPDIR:-/tmp}/bootsonde-UID) says where it is: lines of key=value.
# Exit status: QEMU's; 2 for a wrong command line, 3 when something needed is not there.
set -u
unset CDPATH
LC_ALL=C # lengths count bytes
prog=microvm_debug.sh

self=$0
while [ -h "$self" ]; do
    link=$(readlink "$self")
    case $link in
        /*) self=$link ;;
        *) self=$(dirname "$self")/$link ;;
    esac
done
here=$(cd -P "$(dirname "$self")" && pwd) || exit 3
# shellcheck source=launch/lib/say.sh
. "$here/lib/say.sh"
# shellcheck source=launch/lib/kernel.sh
. "$here/lib/kernel.sh"
# shellcheck source=launch/lib/runstate.sh
. "$here/lib/runstate.sh"
# shellcheck source=launch/lib/respawn.sh
. "$here/lib/respawn.sh"

newline='
'

# --- The command line ---------------------------------------------------------------------------------------------

qemu=${QEMU:-qemu-system-x86_64}
kernel='' disk='' initrd='' append='' memory=256M smp=1 cpu='' machine='' accel=tcg net='' stub=127.0.0.1:1234
qmp='' console='' plugins='' icount='' rr='' name=guest-$$
have_append='' write='' wait=yes respawn='' dry_run=''

while [ $# -gt 0 ]; do
    option=$1
    shift
    case $option in
        --) break ;;
        --help)
            header_help "$self"
            exit 0
            ;;
        --write | --no-wait | --respawn | --dry-run) ;;
        --*=*)
            value=${option#*=}
            option=${option%%=*}
            ;;
        --kernel | --disk | --initrd | --append | --memory | --smp | --cpu | --machine | --accel | --net | --stub | \
            --qmp | --console | --plugin | --icount | --rr | --name)
            [ $# -gt 0 ] || usage "$option needs a value"
            value=$1
            shift
            ;;
        -?*) usage "unknown option $option" ;;
        *)
            value=$option
            if [ -z "$kernel" ]; then option=--kernel; else option=--disk; fi
            ;;
    esac
    case $option in
        --kernel) [ -z "$kernel" ] || usage "two kernels: $kernel and $value" ;;
        --disk) [ -z "$disk" ] || usage "two disks, or one word too many: $value" ;;
    esac
    case $option in
        --append) have_append=yes append=$value ;;
        --write) write=yes ;;
        --no-wait) wait='' ;;
        --respawn) respawn=yes ;;
        --dry-run) dry_run=yes ;;
        *)
            case $value in
                '') usage "$option needs a value that is not empty" ;;
                *"$newline"*) usage "$option: a line break in it cannot be passed on" ;;
            esac
            ;;
    esac
    case $option in
        --kernel) kernel=$(absolute "$value") ;;
        --disk) disk=$(absolute "$value") ;;
        --initrd) initrd=$(absolute "$value") ;;
        --memory) memory=$value ;;
        --smp) smp=$value ;;
        --cpu) cpu=$value ;;
        --machine) machine=$value ;;
        --accel) accel=$value ;;
        --net) net=$value ;;
        --stub) stub=$value ;;
        --qmp) qmp=$value ;;
        --console) console=$(absolute "$value") ;;
        --plugin) plugins=$plugins$value$newline ;;
        --icount) icount=$value ;;
        --rr) rr=$value ;;
        --name) name=$value ;;
        --append | --write | --no-wait | --respawn | --dry-run) ;;
        *) usage "unknown option $option" ;;
    esac
done
extra=$# # what is left in "$@" is for QEMU

[ -n "$kernel" ] || usage 'no kernel given'
case $append in *"$newline"*) usage '--append: a line break in it cannot be passed on' ;; esac
case $memory in
    *[!0-9KMGTkmgt]* | [!1-9]* | *[KMGTkmgt]?*) usage "--memory $memory: give a size such as 512M" ;;
esac
case $smp in
    *[!0-9]* | 0* | ????*) usage "--smp $smp: give a number of vCPUs, 1 or more" ;;
esac
case $name in
    *[!A-Za-z0-9._-]* | [.-]*) usage "--name $name: give letters, digits, and . _ - inside" ;;
esac
case $accel in
    tcg) ;;
    kvm) [ -z "$icount$rr$plugins" ] || usage '--icount, --rr and --plugin work with --accel tcg only' ;;
    *) usage "--accel $accel: give tcg or kvm" ;;
esac
case $rr in
    '' | record:?* | replay:?*) ;;
    *) usage "--rr $rr: give record:FILE or replay:FILE" ;;
esac
if [ -n "$write" ] && [ -n "$rr" ]; then
    usage '--write and --rr: a replay needs the disk as it was; leave --write out'
fi

# --- Addresses ----------------------------------------------------------------------------------------------------

# check_path OPTION PATH: fits into a socket address?
socket_limit=108
case $(uname) in *BSD | DragonFly) socket_limit=104 ;; esac
check_path() {
    [ ${#2} -lt $socket_limit ] ||
        usage "$1: the socket path is ${#2} bytes long, and must be under $socket_limit: use a shorter one"
}

case $qmp in
    '') ;;
    tcp:*) usage "--qmp $qmp: give the path of a unix socket" ;;
    *)
        qmp=$(absolute "${qmp#unix:}")
        check_path --qmp "$qmp"
        ;;
esac

stub_host='' stub_port=''
case $stub in
    none) stub='' ;;
    unix:?* | */*)
        stub=$(absolute "${stub#unix:}")
        check_path --stub "$stub"
        stub=unix:$stub
        ;;
    *)
        stub=${stub#tcp:}
        stub_port=${stub##*:}
        case $stub in
            *:*) stub_host=${stub%:*} ;;
            *) stub_host=127.0.0.1 ;;
        esac
        case $stub_port in
            '' | *[!0-9]* | 0* | ??????*) usage "--stub $stub: give PORT, HOST:PORT, unix:PATH or none" ;;
        esac
        [ "$stub_port" -le 65535 ] || usage "--stub $stub: a port is at most 65535"
        case $stub_host in
            '[::1]' | ::1) stub_host=::1 ;;
            localhost) stub_host=127.0.0.1 ;;
            127.*[!0-9.]*) stub_host='' ;;
            127.*.*.*) ;;
            *) stub_host='' ;;
        esac
        [ -n "$stub_host" ] ||
            usage "--stub $stub: other machines might reach that, and a stub gives away the whole guest:" \
                "use 127.0.0.1:$stub_port or a unix socket"
        case $stub_host in
            *:*) stub=[$stub_host]:$stub_port ;;
            *) stub=$stub_host:$stub_port ;;
        esac
        ;;
esac

# --- What must be there -------------------------------------------------------------------------------------------

# check_file OPTION FILE
check_file() {
    [ -e "$2" ] || missing "$1: there is no $2"
    [ ! -d "$2" ] || missing "$1: $2 is a folder, not a file"
    [ -r "$2" ] || missing "$1: cannot read $2"
}

command -v "$qemu" >/dev/null 2>&1 ||
    missing "no QEMU at $qemu: install it (Debian: qemu-system-x86, FreeBSD: qemu), or set QEMU"
problem=$(kernel_problem "$kernel")
[ -z "$problem" ] || missing "$problem"
if [ -n "$disk" ]; then
    check_file --disk "$disk"
    [ -z "$write" ] || [ -w "$disk" ] || missing "--write: cannot write to $disk"
fi
if [ -n "$initrd" ]; then
    check_file --initrd "$initrd"
fi
case $rr in replay:*) check_file --rr "${rr#replay:}" ;; esac

folder=$(absolute "$(run_folder)")
state=$folder/$name.state
if [ -n "$console" ]; then
    [ -d "${console%/*}/" ] || missing "--console: there is no folder ${console%/*}"
else
    console=$folder/$name.console
fi

# try_kvm CPU: does this QEMU start a vCPU under KVM here? /dev/kvm may exist and still fail.
try_kvm() {
    (
        # shellcheck disable=SC3045  # not in POSIX, but in dash and FreeBSD's sh
        ulimit -c 0
        echo quit | "$qemu" -accel kvm -M microvm,acpi=off -cpu "$1" -nodefaults -no-user-config -display none -S \
            -monitor stdio
    ) >/dev/null 2>&1
}

if [ "$accel" = kvm ]; then
    if try_kvm "${cpu:-max}"; then
        cpu=${cpu:-max}
    elif [ -z "$cpu" ] && try_kvm max,-arch-capabilities; then
        cpu=max,-arch-capabilities
    else
        missing "--accel kvm: QEMU cannot start a vCPU under KVM here (is /dev/kvm there and yours?): use --accel tcg"
    fi
fi

# --- QEMU's command line ------------------------------------------------------------------------------------------

# commas TEXT: as part of a QEMU option, where a comma ends a value and two are one.
commas() {
    case $1 in
        *,*) printf '%s\n' "$1" | sed 's/,/,,/g' ;;
        *) printf '%s\n' "$1" ;;
    esac
}

# plugin_option FILE[,ARGS]: the file name may have commas itself: the shortest one that exists is it.
plugin_option() {
    plugin_file=''
    plugin_rest=$1,
    while [ -n "$plugin_rest" ]; do
        plugin_file=$plugin_file${plugin_rest%%,*}
        plugin_rest=${plugin_rest#*,}
        if [ -f "$plugin_file" ]; then
            plugin_rest=${plugin_rest:+,$plugin_rest}
            printf '%s%s\n' "$(commas "$(absolute "$plugin_file")")" "${plugin_rest%,}"
            return
        fi
        plugin_file=$plugin_file,
    done
    return 1
}

set -- "$@" "$qemu" -name "$name"
set -- "$@" -M "microvm,acpi=off${machine:+,$machine}" -accel "$accel" -cpu "${cpu:-max}" -m "$memory" -smp "$smp"
set -- "$@" -nodefaults -no-user-config -no-reboot -display none
set -- "$@" -device isa-debug-exit,iobase=0xf4,iosize=4

# The console: a chardev that the serial port and QEMU's monitor share. signal=off hands Ctrl-C to the guest.
set -- "$@" -chardev "stdio,id=console,mux=on,signal=off,logfile=$(commas "$console")"
set -- "$@" -serial chardev:console -mon chardev=console,mode=readline

set -- "$@" -kernel "$kernel"
[ -z "$initrd" ] || set -- "$@" -initrd "$initrd"
[ -z "$have_append" ] || set -- "$@" -append "$append"

if [ -n "$disk" ]; then
    case $(bytes "$disk" 0 4 | tr -s ' \n' ' ') in
        ' 81 70 73 251'*) format=qcow2 ;;
        *) format=raw ;;
    esac
    if [ -n "$write" ]; then snapshot=off; else snapshot=on; fi
    set -- "$@" -drive "if=none,id=disk0,file=$(commas "$disk"),format=$format,snapshot=$snapshot"
    if [ -n "$rr" ]; then
        set -- "$@" -drive driver=blkreplay,if=none,id=replay0,image=disk0 -device virtio-blk-device,drive=replay0
    else
        set -- "$@" -device virtio-blk-device,drive=disk0
    fi
fi
if [ -n "$net" ]; then
    set -- "$@" -netdev "$net,id=net0" -device virtio-net-device,netdev=net0
    [ -z "$rr" ] || set -- "$@" -object filter-replay,id=netreplay,netdev=net0
fi

if [ -n "$icount$rr" ]; then
    icount=${icount:-shift=3,sleep=off}
    [ -z "$rr" ] || icount=$icount,rr=${rr%%:*},rrfile=$(commas "$(absolute "${rr#*:}")")
    # Leave any of these out and two runs differ.
    set -- "$@" -icount "$icount" -seed 1 -rtc base=2020-01-01T00:00:00,clock=vm
fi
while [ -n "$plugins" ]; do
    plugin=$(plugin_option "${plugins%%"$newline"*}") ||
        missing "--plugin ${plugins%%"$newline"*}: there is no such file"
    set -- "$@" -plugin "$plugin"
    plugins=${plugins#*"$newline"}
done

case $stub in
    '') ;;
    unix:*) set -- "$@" -gdb "$(commas "$stub"),server=on,wait=off" ;;
    *) set -- "$@" -gdb "tcp:$stub" ;;
esac
[ -z "$qmp" ] || set -- "$@" -qmp "unix:$(commas "$qmp"),server=on,wait=off"
[ -z "$wait" ] || set -- "$@" -S

# The caller's own QEMU arguments go last.
while [ "$extra" -gt 0 ]; do
    argument=$1
    shift
    set -- "$@" "$argument"
    extra=$((extra - 1))
done

if [ -n "$dry_run" ]; then
    quote "$@"
    exit 0
fi

# --- Start --------------------------------------------------------------------------------------------------------

# free_socket OPTION PATH: a socket file that nobody listens on goes away, a living one is refused.
free_socket() {
    [ -d "${2%/*}/" ] || missing "$1: there is no folder ${2%/*}"
    [ -e "$2" ] || return 0
    [ -S "$2" ] || missing "$1: $2 exists and is not a socket: remove it, or name another"
    [ "$(socket_state "$2")" = stale ] ||
        missing "$1: somebody listens on $2 already: end that guest, or name another socket"
    rm -f -- "$2" || missing "$1: cannot remove the old socket $2"
}

# write_state PID: note where the guest is, for those who look for one that waits.
write_state() {
    if ! (
        umask 077
        cat >"$folder/.$name.state.$$" <<END
pid=$1
launcher=$$
name=$name
kernel=$kernel
disk=$disk
stub=$stub
qmp=$qmp
console=$console
accel=$accel
smp=$smp
icount=$icount
append=$append
END
    ) || ! mv -f -- "$folder/.$name.state.$$" "$state"; then
        missing "cannot write $state: is the disk full?"
    fi
}

# announce: for who sits at the terminal.
announce() {
    [ -t 2 ] || return 0
    if [ -n "$wait" ]; then
        say "bootsonde: $name waits at its first instruction; stub on ${stub:-none}, console log $console"
        case $stub in
            '' | 127.0.0.1:1234) ;;
            unix:*) say "bootsonde: GDB alone reaches it by: target remote ${stub#unix:}" ;;
            *) say "bootsonde: GDB alone reaches it by: target remote $stub" ;;
        esac
        say "bootsonde: in a second terminal: gdb, then: source $(dirname "$here")/scenarios/pvclock.py"
    else
        say "bootsonde: $name runs; stub on ${stub:-none}, console log $console"
    fi
    say 'bootsonde: Ctrl-C goes to the guest, Ctrl-A X ends it'
}

make_run_folder "$folder"
sweep "$folder"
[ ! -e "$state" ] || missing "a guest named $name runs already (process $(state_get "$state" pid)): choose another name"
case $stub in
    '') ;;
    unix:*) free_socket --stub "${stub#unix:}" ;;
    *)
        if port_taken "$stub_host" "$stub_port" >/dev/null; then
            missing "--stub $stub: the port is taken: end the guest that has it, or name another port or a unix socket"
        fi
        ;;
esac
[ -z "$qmp" ] || free_socket --qmp "$qmp"

announce
if [ -n "$respawn" ]; then
    respawn "$@"
fi
write_state $$
exec "$@"

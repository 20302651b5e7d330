#!/bin/sh
# usage: fetch.sh debian-kernel | other-kernels | qemu-backports | gdb-trixie
#
# Downloads real input and other versions of the tools for the tests, installs nothing, and prints where they are.
# What is there already is not downloaded again. All goes to ${XDG_CACHE_HOME:-~/.cache}/bootsonde.
#
#   debian-kernel   Debian 12's cloud kernel; prints a folder with vmlinux (with debug data; a PVH ELF that boots),
#                   vmlinuz, config, System.map, and modules/*.ko as shipped and modules/debug/*.ko with debug data
#   other-kernels   what else Debian has that a microvm may boot, and that is no Linux; prints a folder with grub (a
#                   32-bit PVH ELF without a name in it), memtest (a bzImage) and xen (an ELF without a PVH entry)
#   qemu-backports  QEMU 10 from Debian 12's backports; prints the path of a command to set QEMU to
#   gdb-trixie      GDB 16 from Debian 13, with its own libraries and Python; prints the path of a command to set GDB to
#
# Exit status: 0 printed, 2 wrong command line, 3 not to be had here (no network, no apt, no Debian mirror, no space).
set -u
unset CDPATH
here=$(cd "$(dirname "$0")" && pwd) || exit 3
# shellcheck source=launch/lib/say.sh
. "$here/lib/say.sh"

cache=${XDG_CACHE_HOME:-$HOME/.cache}/bootsonde
modules='kernel/drivers/block/virtio_blk.ko kernel/drivers/net/virtio_net.ko'

# --- A private apt: own package lists, own sources, the machine's mirror, keys and proxies ----------------------------

# mirror security|main: the address from which this machine's own apt takes Debian.
mirror() {
    # shellcheck disable=SC2016  # apt's own variables
    apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        awk -v want="$1" '
            $1 !~ /^(bullseye|bookworm|trixie|forky|duke|sid|unstable|testing|stable|oldstable)(-|$)/ { next }
            $2 != "main" || $1 ~ /-backports/ { next }
            want == ($1 ~ /-security$/ ? "security" : "main") { print $3; exit }'
}

# private COMMAND ARGUMENT...: apt-get or apt-cache on the lists in $work, as if nothing were installed.
private() {
    private_command=$1
    shift
    "$private_command" -q -o Dir::State="$work/apt/state" -o Dir::State::status="$work/apt/status" \
        -o Dir::Cache="$work/apt/cache" -o Dir::Cache::pkgcache='' -o Dir::Cache::srcpkgcache='' \
        -o Dir::Etc::sourcelist="$work/apt/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=- \
        -o APT::Architecture=amd64 -o APT::Architectures=amd64 -o APT::Sandbox::User=root \
        -o APT::Install-Recommends=false -o Acquire::Languages=none -o Acquire::Retries=2 -o Debug::NoLocking=true \
        "$@" 2>>"$work/log"
}

# private_apt SUITE...: set it up for suites such as bookworm or bookworm-security.
private_apt() {
    for tool in apt-get apt-cache dpkg-deb; do
        command -v $tool >/dev/null 2>&1 || missing "$what comes as Debian packages, and this machine has no $tool"
    done
    main=$(mirror main)
    security=$(mirror security)
    [ -n "$main" ] || missing "$what comes from a Debian mirror, and this machine's apt has none"
    mkdir -p "$work/apt/state/lists/partial" "$work/apt/cache/archives/partial" || missing "cannot write to $work"
    : >"$work/apt/status"
    signed=''
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    [ ! -r $keys ] || signed="[signed-by=$keys] "
    for suite in "$@"; do
        case $suite in
            *-security) [ -z "$security" ] || echo "deb $signed$security $suite main" ;;
            *) echo "deb $signed$main $suite main" ;;
        esac
    done >"$work/apt/sources.list"
    say "fetch: reading the package lists of $*"
    private apt-get update --error-on=any >>"$work/log" || failed 'cannot read the package lists'
}

# failed MESSAGE: with the reason that apt gave.
failed() {
    missing "$what: $*: $(grep -E '^(E|Err|W|tar|dpkg-deb)[: ]' "$work/log" | tail -n 1)"
}

# download PACKAGE...: into $work
download() {
    say "fetch: downloading $*"
    (cd "$work" && private apt-get download "$@" >>"$work/log") || failed "cannot download $*"
}

# version PACKAGE: the version that apt would take, without its epoch.
version() {
    private apt-cache show --no-all-versions "$1" | sed -n 's/^Version: \([0-9]*:\)\{0,1\}//p' | head -n 1
}

# --- What there is to fetch -----------------------------------------------------------------------------------------

fetch_debian_kernel() {
    private_apt bookworm bookworm-updates bookworm-security
    image=$(private apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-6\.1\..*\)/\1/p')
    [ -n "$image" ] || failed 'no kernel of the 6.1 series in the package lists'
    release=${image#linux-image-}
    new=$work/$release
    download "$image" "$image-dbg"
    say 'fetch: unpacking'
    mkdir -p "$work/x" "$new/modules/debug"
    dpkg-deb -x "$work/${image}_"*.deb "$work/x" 2>>"$work/log" || failed 'cannot unpack'
    # The debug package unpacks to gigabytes: take only what is kept.
    set -- "./usr/lib/debug/boot/vmlinux-$release"
    for module in $modules; do
        [ ! -f "$work/x/lib/modules/$release/$module" ] ||
            set -- "$@" "./usr/lib/debug/lib/modules/$release/$module"
    done
    dpkg-deb --fsys-tarfile "$work/$image-dbg_"*.deb 2>>"$work/log" | tar -x -f - -C "$work/x" "$@" 2>>"$work/log" ||
        failed 'cannot unpack'
    for module in $modules; do
        [ ! -f "$work/x/lib/modules/$release/$module" ] || {
            mv "$work/x/lib/modules/$release/$module" "$new/modules/" &&
                mv "$work/x/usr/lib/debug/lib/modules/$release/$module" "$new/modules/debug/"
        } || failed 'cannot unpack'
    done
    for file in vmlinuz config System.map; do
        mv "$work/x/boot/$file-$release" "$new/$file" || failed 'cannot unpack'
    done
    mv "$work/x/usr/lib/debug/boot/vmlinux-$release" "$new/vmlinux" || failed 'cannot unpack'
    keep "$new"
}

fetch_other_kernels() {
    private_apt bookworm
    number=$(version grub-xen-bin)
    [ -n "$number" ] || failed 'no grub-xen-bin in the package lists'
    new=$work/$number
    download grub-xen-bin grub-common memtest86+ xen-hypervisor-4.17-amd64
    mkdir "$new" "$work/x"
    for package in "$work"/*.deb; do
        dpkg-deb -x "$package" "$work/x" 2>>"$work/log" || failed 'cannot unpack'
    done
    "$work/x/usr/bin/grub-mkimage" -O i386-xen_pvh -d "$work/x/usr/lib/grub/i386-xen_pvh" -p /boot -o "$new/grub" \
        echo normal halt 2>>"$work/log" || failed "grub-mkimage does not run here: $(tail -n 1 "$work/log")"
    gunzip -c "$work/x/boot/xen-4.17-amd64.gz" >"$new/xen" 2>>"$work/log" || failed 'cannot unpack'
    mv "$work/x/boot/memtest86+x64.bin" "$new/memtest" || failed 'cannot unpack'
    keep "$new"
}

fetch_qemu_backports() {
    private_apt bookworm bookworm-backports
    number=$(version qemu-system-x86/bookworm-backports)
    [ -n "$number" ] || failed 'no QEMU in the package lists'
    new=$work/$number
    download -t bookworm-backports qemu-system-x86 qemu-system-common qemu-system-data
    mkdir "$new"
    for package in "$work"/*.deb; do
        dpkg-deb -x "$package" "$new" 2>>"$work/log" || failed 'cannot unpack'
    done
    cat >"$new/qemu-system-x86_64" <<'END'
#!/bin/sh
# QEMU as unpacked here, with its own modules and firmware.
here=$(cd "$(dirname "$0")" && pwd) || exit 3
QEMU_MODULE_DIR=$here/usr/lib/x86_64-linux-gnu/qemu
export QEMU_MODULE_DIR
exec "$here/usr/bin/qemu-system-x86_64" -L "$here/usr/share/qemu" -L /usr/share/seabios "$@"
END
    try "$new/qemu-system-x86_64"
    keep "$new"
}

fetch_gdb_trixie() {
    private_apt trixie trixie-security
    number=$(version gdb)
    [ -n "$number" ] || failed 'no GDB in the package lists'
    new=$work/$number
    say 'fetch: downloading gdb and all that it needs'
    private apt-get install -y --download-only --allow-unauthenticated=false gdb >>"$work/log" ||
        failed 'cannot download gdb'
    mkdir "$new"
    for package in "$work"/apt/cache/archives/*.deb; do
        dpkg-deb -x "$package" "$new" 2>>"$work/log" || failed 'cannot unpack'
    done
    for folder in usr/share/doc usr/share/locale usr/share/man usr/share/perl; do
        rm -rf "${new:?}/$folder"
    done
    cat >"$new/gdb" <<'END'
#!/bin/sh
# GDB as unpacked here, with its own libraries and Python. What GDB starts must not look for that Python.
here=$(cd "$(dirname "$0")" && pwd) || exit 3
PYTHONHOME=$here/usr
export PYTHONHOME
exec "$here/usr/lib64/ld-linux-x86-64.so.2" --library-path "$here/usr/lib/x86_64-linux-gnu" "$here/usr/bin/gdb" \
    --data-directory="$here/usr/share/gdb" -iex 'unset environment PYTHONHOME' \
    -iex 'python import os; os.environ.pop("PYTHONHOME", None)' "$@"
END
    try "$new/gdb"
    keep "$new"
}

# try COMMAND: does it run here?
try() {
    chmod 755 "$1"
    "$1" --version >/dev/null 2>>"$work/log" || missing "$what: it does not run here: $(tail -n 1 "$work/log")"
}

# keep FOLDER: it is complete: give it its name, unless another fetch was faster.
keep() {
    mkdir -p "$cache/$what"
    [ -d "$cache/$what/${1##*/}" ] || mv "$1" "$cache/$what/" || missing "cannot write to $cache/$what"
    found=$cache/$what/${1##*/}
}

# --- Do it ------------------------------------------------------------------------------------------------------------

[ $# -eq 1 ] || usage 'say what to fetch: debian-kernel, other-kernels, qemu-backports or gdb-trixie'
what=$1
case $what in
    --help)
        header_help "$0"
        exit 0
        ;;
    debian-kernel | other-kernels) product='' ;;
    qemu-backports) product=/qemu-system-x86_64 ;;
    gdb-trixie) product=/gdb ;;
    *) usage "cannot fetch $what: say debian-kernel, other-kernels, qemu-backports or gdb-trixie" ;;
esac

found=''
for folder in "$cache/$what"/*/; do
    [ ! -d "$folder" ] || found=${folder%/}
done
if [ -z "$found" ]; then
    # Left by a fetch that was killed.
    for folder in "$cache"/.new.*; do
        kill -0 "${folder##*.}" 2>/dev/null || rm -rf "$folder"
    done
    work=$cache/.new.$$
    mkdir -p "$work" || missing "cannot write to $cache"
    : >"$work/log"
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    "fetch_$(echo "$what" | tr - _)"
fi
printf '%s%s\n' "$found" "$product"

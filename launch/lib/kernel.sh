# Sourced: can QEMU's microvm enter this kernel at all? Needs only od and awk. POSIX sh.
# shellcheck shell=sh

# bytes FILE OFFSET COUNT: decimal byte values, as many a line as od likes.
bytes() {
    od -A n -v -t u1 -j "$2" -N "$3" -- "$1" 2>/dev/null
}

# elf_notes FILE: "OFFSET SIZE" of each PT_NOTE segment of a little-endian ELF file.
elf_notes() {
    set -- "$1" "$(bytes "$1" 0 64 | awk '
        function le(at, n,   v) { v = 0; while (n-- > 0) v = v * 256 + b[at + n]; return v }
        { for (i = 1; i <= NF; i++) b[count++] = $i }
        END {
            if (b[4] == 2) print 64, le(32, 8), le(54, 2), le(56, 2)    # e_phoff, e_phentsize, e_phnum
            else           print 32, le(28, 4), le(42, 2), le(44, 2)
        }')"
    # shellcheck disable=SC2086  # four numbers
    set -- "$1" $2
    [ "$4" -ge 32 ] && [ "$5" -gt 0 ] || return 0
    bytes "$1" "$3" $(($4 * $5)) | awk -v class="$2" -v entry="$4" -v number="$5" '
        function le(at, n,   v) { v = 0; while (n-- > 0) v = v * 256 + b[at + n]; return v }
        { for (i = 1; i <= NF; i++) b[count++] = $i }
        END {
            for (i = 0; i < number && (i + 1) * entry <= count; i++) {
                at = i * entry
                if (le(at, 4) != 4) continue                            # PT_NOTE
                if (class == 64) printf "%.0f %.0f\n", le(at + 8, 8), le(at + 32, 8)
                else             printf "%.0f %.0f\n", le(at + 4, 4), le(at + 16, 4)
            }
        }'
}

# has_pvh_note FILE: is there a note "Xen" of type 18, XEN_ELFNOTE_PHYS32_ENTRY?
has_pvh_note() {
    elf_notes "$1" | while read -r offset size; do
        [ "$size" -le 1048576 ] || size=1048576
        bytes "$1" "$offset" "$size"
        echo end
    done | awk '
        function le(at, n,   v) { v = 0; while (n-- > 0) v = v * 256 + b[at + n]; return v }
        function up(n) { return int((n + 3) / 4) * 4 }
        $1 == "end" {
            for (at = 0; at + 12 <= count; at += 12 + up(namesz) + up(descsz)) {
                namesz = le(at, 4); descsz = le(at + 4, 4)
                xen = namesz == 4 && b[at + 12] == 88 && b[at + 13] == 101 && b[at + 14] == 110
                if (xen && le(at + 8, 4) == 18) found = 1
            }
            count = 0
            next
        }
        { for (i = 1; i <= NF; i++) b[count++] = $i }
        END { exit !found }'
}

# kernel_problem FILE: one line that says why microvm cannot boot it; nothing when it can.
kernel_problem() {
    if [ ! -e "$1" ]; then
        echo "no kernel at $1: build it, or name another"
        return
    elif [ ! -f "$1" ] || [ ! -r "$1" ]; then
        echo "cannot read the kernel $1: it must be a file that you may read"
        return
    fi
    case $(bytes "$1" 0 6 | tr -s ' \n' ' ') in
        ' 127 69 76 70 '[12]' 1'*) ;;
        ' 127 69 76 70 '*)
            echo "$1 is an ELF file for another machine: give an x86-64 or i386 kernel"
            return
            ;;
        *)
            # A bzImage says HdrS at 0x202.
            case $(bytes "$1" 514 4 | tr -s ' \n' ' ') in
                ' 72 100 114 83'*) ;;
                *) echo "$1 is neither an ELF file nor a bzImage: give the kernel itself, not a disk or an archive" ;;
            esac
            return
            ;;
    esac
    case $(bytes "$1" 18 2 | tr -s ' \n' ' ') in
        ' 62 0'* | ' 3 0'*) ;;
        *)
            echo "$1 is an ELF file for another machine: give an x86-64 or i386 kernel"
            return
            ;;
    esac
    has_pvh_note "$1" || echo "$1 has no PVH entry (ELF note Xen, type 18):" \
        "microvm cannot start it; build it with PVH (Linux: CONFIG_PVH=y), or give a bzImage"
}

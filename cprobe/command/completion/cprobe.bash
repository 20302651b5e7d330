# SPDX-License-Identifier: BSD-2-Clause
# bash completion for cprobe(1). Needs bash 4 and nothing else.

# Files that begin as ELF files do, and folders.
_cprobe_elf_files() {
    local file magic
    while IFS= read -r file; do
        if [[ -d $file ]]; then
            COMPREPLY+=("$file")
        elif [[ -f $file && -r $file ]]; then
            magic=
            LC_ALL=C IFS= read -r -d '' -N 4 magic <"$file" 2>/dev/null
            [[ $magic != $'\x7fELF' ]] || COMPREPLY+=("$file")
        fi
    done < <(compgen -f -- "$1")
    compopt -o filenames 2>/dev/null
}

_cprobe_words() {
    local word
    while IFS= read -r word; do
        COMPREPLY+=("$2$word")
    done < <(compgen -W "$3" -- "$1")
}

# _cprobe_value OPTION BEGINNING PREFIX: the values of an option; false if it takes none.
_cprobe_value() {
    local list=
    case $1 in
        --format) _cprobe_words "$2" "$3" 'text json gdb' ;;
        --console) _cprobe_words "$2" "$3" 'exact text none' ;;
        --kernel | --kernel-baseline) _cprobe_elf_files "$2" ;;
        --inlined) _cprobe_words "$2" "$3" 'include exclude only' ;;
        --insn)
            [[ $2 != *,* ]] || list=${2%,*},
            _cprobe_words "${2##*,}" "$3$list" 'cpuid rdtsc rdtscp rdmsr wrmsr rdpmc in out hlt cli sti invlpg swapgs
                wbinvd invd vmcall xgetbv xsetbv clts ud2'
            compopt -o nospace 2>/dev/null
            ;;
        --file | --func | --in-file | --in-func | --message | --from | --to | --gap | --depth | --least | --limit | --slower) ;;
        *) return 1 ;;
    esac
}

_cprobe() {
    local verbs='info list find line symbol type symbolize coverage events tree top why next diff baseline' cur=${COMP_WORDS[COMP_CWORD]} word before='' i
    local options='' words=0 ended=''
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        _cprobe_words "$cur" '' "$verbs help --help --version"
        return
    fi
    case ${COMP_WORDS[1]} in
        list) options='--file --func --inlined' ;;
        find) options='--insn --inputs --padding --message --in-func --in-file' ;;
        symbolize) options='--inlines' ;;
        coverage) options='--file --func' ;;
        events) options='--func --from --to' ;;
        tree) options='--from --to --gap --depth --least' ;;
        top) options='--from --to --gap --limit' ;;
        why) options='--limit' ;;
        next) options='--func --limit' ;;
        baseline) options='--console --slower --like --kernel' ;;
        diff) options='--console --slower --limit --kernel --kernel-baseline' ;;
        info | line | symbol | type) ;;
        help | --help)
            ((COMP_CWORD > 2)) || _cprobe_words "$cur" '' "$verbs"
            return
            ;;
        *) return ;;
    esac
    # What stands before: an option that waits for its value, and how many words. bash may have cut at "=".
    for ((i = 2; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word == = ]]; then
            continue
        elif [[ -n $before ]]; then
            before=
        elif [[ -n $ended || $word != -* ]]; then
            ((words++))
        elif [[ $word == -- ]]; then
            ended=yes
        elif [[ $word != *=* && $word != --inlines && $word != --inputs && $word != --padding && $word != --help ]]; then
            before=$word
        fi
    done
    [[ $cur != = ]] || cur=
    if [[ -n $before ]]; then
        _cprobe_value "$before" "$cur" ''
    elif [[ -z $ended && $cur == --*=* ]]; then
        _cprobe_value "${cur%%=*}" "${cur#*=}" "${cur%%=*}="
    elif [[ -z $ended && $cur == -* ]]; then
        _cprobe_words "$cur" '' "$options --format --help"
    elif [[ ${COMP_WORDS[1]} == @(events|diff) ]] && ((words == 0)); then
        compopt -o default 2>/dev/null
    elif [[ ${COMP_WORDS[1]} == baseline ]]; then
        compopt -o default 2>/dev/null
    elif ((words == 0)); then
        _cprobe_elf_files "$cur"
    elif [[ ${COMP_WORDS[1]} == @(coverage|tree|top|next|diff) ]] && ((words == 1)); then
        compopt -o default 2>/dev/null
    elif [[ ${COMP_WORDS[1]} == why ]] && ((words == 2)); then
        compopt -o default 2>/dev/null
    fi
}

complete -F _cprobe cprobe

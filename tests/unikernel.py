"""Kernels of a few lines, as a unikernel is: linked at 1 MiB, of one file of C or C++, without an operating system."""

from __future__ import annotations

import subprocess
from pathlib import Path

#: The PVH entry: 32-bit code, which goes on in long mode where the rest is 64-bit code; then main() on a stack.
_ENTRY = """
        .section .note.pvh, "a", @note
        .long   4, 4, 18                # XEN_ELFNOTE_PHYS32_ENTRY
        .asciz  "Xen"
        .long   start

        .text
        .code32
        .globl  start
        .type   start, @function
start:  mov     $stack, %esp
#ifdef __x86_64__
        movl    $pdpt + 3, pml4
        movl    $0x83, pdpt             # the first GiB, as it is
        mov     $0x20, %eax             # PAE
        mov     %eax, %cr4
        mov     $pml4, %eax
        mov     %eax, %cr3
        mov     $0xc0000080, %ecx       # EFER
        rdmsr
        or      $0x100, %eax            # LME
        wrmsr
        mov     %cr0, %eax
        or      $0x80000000, %eax       # PG
        mov     %eax, %cr0
        lgdt    gdtr
        ljmp    $8, $wide
        .code64
wide:   mov     $16, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
#endif
        call    main
        mov     $0x10, %eax
        out     %eax, $0xf4             # debug-exit: passed
1:      hlt
        jmp     1b
        .size   start, . - start

        .section .rodata
        .balign 8
gdt:    .quad   0, 0x00af9a000000ffff, 0x00cf92000000ffff
gdtr:   .word   23
        .long   gdt, 0

        .bss
        .balign 4096
pml4:   .space  4096
pdpt:   .space  4096
        .space  16384
stack:
        .section .note.GNU-stack, "", @progbits
"""

#: What main() may call.
_HEAD = """
#define NOINLINE __attribute__((noinline))
static inline void say(const char *text)
{
    for (; *text; text++)
        __asm__ volatile("outb %0, %1" :: "a"(*text), "Nd"((unsigned short)0x3f8));
}
"""

_FLAGS = ("-O2", "-g", "-ffreestanding", "-fno-pic", "-fno-stack-protector", "-fno-asynchronous-unwind-tables",
          "-fcf-protection=none", "-mno-sse", "-mno-red-zone", "-nostdlib", "-static", "-no-pie",
          "-Wl,-Ttext=0x100000,-e,start,-z,max-page-size=4096,--no-warn-rwx-segments")


def unikernel(folder: Path, text: str, *flags: str, suffix: str = ".c") -> Path:
    """A kernel of this main(), in C or (suffix .cc) C++; with -m32 it is a 32-bit one. It ends when main() does."""
    entry, source, kernel = folder / "entry.S", folder / f"unikernel{suffix}", folder / "unikernel"
    entry.write_text(_ENTRY)
    source.write_text(_HEAD + text)
    compiler = ["g++", "-fno-exceptions", "-fno-rtti"] if suffix == ".cc" else ["gcc"]
    subprocess.run([*compiler, *_FLAGS, *flags, "-o", kernel, entry, source], check=True, timeout=60)
    return kernel

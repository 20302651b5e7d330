/*
 * The smallest guest that the launcher's tests need: a 32-bit PVH kernel that prints "login: " and echoes.
 * Ctrl-C is echoed as ^C, q ends the guest through debug-exit with 0x10 (QEMU's status 33), r resets it.
 */
        .section .note.pvh, "a", @note
        .long   4, 4, 18                # XEN_ELFNOTE_PHYS32_ENTRY
        .asciz  "Xen"
        .long   start

        .text
        .globl  start
start:
        mov     $stack, %esp
        mov     $banner, %esi
1:      lodsb
        test    %al, %al
        jz      echo
        call    put
        jmp     1b

echo:
        mov     $0x3fd, %dx             # COM1's line status
1:      pause
        in      %dx, %al
        test    $1, %al                 # data ready
        jz      1b
        mov     $0x3f8, %dx
        in      %dx, %al
        cmp     $'q', %al
        je      quit
        cmp     $'r', %al
        je      reset
        cmp     $3, %al
        jne     2f
        mov     $'^', %al
        call    put
        mov     $'C', %al
2:      call    put
        jmp     echo

quit:
        mov     $0x10, %eax
        mov     $0xf4, %dx
        out     %eax, %dx

reset:
        lidt    no_idt
        ud2                             # no handler, no double-fault handler: reset

put:                                    # %al to COM1
        mov     %al, %bl
        mov     $0x3fd, %dx
1:      in      %dx, %al
        test    $0x20, %al              # transmitter empty
        jz      1b
        mov     %bl, %al
        mov     $0x3f8, %dx
        out     %al, %dx
        ret

banner: .asciz  "echo guest\r\nlogin: "
        .balign 8
no_idt: .word   0
        .long   0

        .bss
        .balign 16
        .space  4096
stack:

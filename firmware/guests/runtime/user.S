/* SPDX-License-Identifier: Apache-2.0
 *
 * Ring 3 with a way back: a GDT with a TSS, so that interrupts and exceptions find a ring-0 stack, and the
 * general-protection handler that carries out ring 3's port accesses.
 */
#define USER_STACK_BYTES 16384
#define INTERRUPT_STACK_BYTES 4096
#define TSS_BYTES 104
#define FLAGS_INTERRUPTS_ON 0x202

/* [[noreturn]] void start_user(u32 (*main)()) */
    .section .text.start_user, "ax"
    .globl start_user
start_user:
    lgdt user_gdt_pointer
    mov $0x28, %eax
    ltr %ax
    pushq $0x1b
    pushq $user_stack + USER_STACK_BYTES - 16
    pushq $FLAGS_INTERRUPTS_ON
    pushq $0x23
    pushq $1f
    iretq
1:  call *%rdi
    mov %eax, %edi
    jmp exit_guest

/* Vector 13. The stack: error code, RIP, CS, RFLAGS, RSP, SS. */
    .section .text.on_user_protection, "ax"
    .globl on_user_protection
on_user_protection:
    testb $3, 16(%rsp)
    jz unexpected
    push %rax
    push %rcx
    push %rdx
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    mov %rsp, %rdi
    cld
    call access_port_for_user
    test %al, %al
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rdx
    pop %rcx
    pop %rax
    jz unexpected
    add $8, %rsp
    iretq
unexpected:
    pushq $13
    mov %rsp, %rdi
    call on_fault

    .section .data.user, "aw"
    .balign 8
user_gdt: /* the first five as in entry.S */
    .quad 0
    .quad 0x00af9b000000ffff
    .quad 0x00cf93000000ffff
    .quad 0x00cff3000000ffff
    .quad 0x00affb000000ffff
    .word TSS_BYTES - 1 /* 0x28: TSS */
    .word user_tss - 0x100000
    .byte 0x10, 0x89, 0, 0 /* images are smaller than 64 KiB and start at 1 MiB */
    .quad 0
user_gdt_end:
    .balign 8
user_gdt_pointer:
    .word user_gdt_end - user_gdt - 1
    .quad user_gdt
    .balign 8
user_tss:
    .long 0
    .quad interrupt_stack + INTERRUPT_STACK_BYTES /* RSP0 */
    .fill TSS_BYTES - 14, 1, 0
    .word TSS_BYTES /* no I/O permission bitmap */

    .section .bss.user, "aw", @nobits
    .balign 16
user_stack:
    .skip USER_STACK_BYTES
interrupt_stack:
    .skip INTERRUPT_STACK_BYTES

    .section .note.GNU-stack, "", @progbits

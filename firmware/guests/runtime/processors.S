/* SPDX-License-Identifier: Apache-2.0
 *
 * Where an application processor wakes up: real mode, at the page that the start-up IPI named. It goes to
 * 64-bit mode in one step, onto a stack chosen by its APIC id, and calls on_processor_start(id).
 */
    .section .rodata.trampoline, "a"
    .code16
    .globl processor_trampoline
processor_trampoline:
    lgdtl %cs:trampoline_gdt_pointer - processor_trampoline
    mov $page_tables, %eax
    mov %eax, %cr3
    mov $0x20, %eax /* PAE */
    mov %eax, %cr4
    mov $0xc0000080, %ecx /* EFER */
    xor %edx, %edx
    mov $0x100, %eax /* LME */
    wrmsr
    mov $0x80000011, %eax /* PG, ET, PE */
    mov %eax, %cr0
    ljmpl $0x08, $processor_entry64
trampoline_gdt_pointer:
    .word 39
    .long gdt
    .globl processor_trampoline_end
processor_trampoline_end:

    .section .text.processor_entry64, "ax"
    .code64
processor_entry64:
    mov $0x10, %eax
    mov %eax, %ss
    lidt idt_pointer
    mov $1, %eax
    cpuid
    shr $24, %ebx
    cmp $64, %ebx
    jae 1f
    mov %ebx, %edi
    lea 1(%rbx), %esp
    shl $10, %esp
    add $processor_stacks, %esp
    call on_processor_start
1:  cli
    hlt
    jmp 1b

    .section .bss.processor_stacks, "aw", @nobits
    .balign 16
processor_stacks: /* 1 KiB each, 64 processors */
    .skip 64 * 1024

    .section .note.GNU-stack, "", @progbits

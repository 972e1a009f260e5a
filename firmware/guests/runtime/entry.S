/* SPDX-License-Identifier: Apache-2.0
 *
 * From any of the four entries to guest_main() in 64-bit mode with page tables, GDT and IDT of our own.
 *
 * The code up to the far jump is encoded alike in 32-bit and in 64-bit mode (every address in a register,
 * every register's upper half zero), so that one path serves all protocols. Hosts that interpret ring 0
 * spend 0.7 us on each instruction here: tables are static where they can be and stored once where not.
 */
#include "firmware/guests/runtime/boot_headers.inc"

#define MAGIC_PVH 0x336ec578
#define MAGIC_LINUX 0x53726448

#define PAGE_LARGE_USER 0x87 /* present, writable, user, large */
#define PAGE_TABLE_USER 0x07
#define CPUID_1GIB_PAGES (1 << 26)
#define MSR_EFER 0xc0000080

#define BOOT_STACK_BYTES 8192

BOOT_HEADERS pvh_entry=pvh_entry, multiboot_entry=any_entry

    .section .text.entry, "ax"
    .code32
    .globl linux_entry
linux_entry: /* 64-bit mode, RSI = boot_params */
    mov $MAGIC_LINUX, %eax
    mov %esi, %ebx
    jmp any_entry
pvh_entry: /* 32-bit mode, EBX = hvm_start_info */
    mov $MAGIC_PVH, %eax
any_entry: /* Multiboot: 32-bit mode, EAX = magic, EBX = information */
    cld
    mov $boot_record, %edi
    mov %eax, (%edi)
    mov %ebx, 4(%edi)
    mov $page_tables, %edi
    movl $page_tables + 0x1000 + PAGE_TABLE_USER, (%edi)
    mov $0x80000001, %eax
    cpuid
    test $CPUID_1GIB_PAGES, %edx
    jz small_pages
    movl $0x00000000 + PAGE_LARGE_USER, 0x1000(%edi)
    movl $0x40000000 + PAGE_LARGE_USER, 0x1008(%edi)
    movl $0x80000000 + PAGE_LARGE_USER, 0x1010(%edi)
    movl $0xc0000000 + PAGE_LARGE_USER, 0x1018(%edi)
enter_long_mode:
    mov %edi, %eax
    mov %eax, %cr3
    mov $0x20, %eax /* PAE */
    mov %eax, %cr4
    mov $MSR_EFER, %ecx
    xor %edx, %edx
    mov $0x100, %eax /* LME */
    wrmsr
    mov $0x80000011, %eax /* PG, ET, PE */
    mov %eax, %cr0
    mov $gdt_pointer, %edi
    lgdt (%edi)
    ljmp *10(%edi)

/* Without 1 GiB pages only what every guest needs: the first 16 MiB and both APICs.
 * map_address() adds the rest. */
small_pages:
    movl $page_tables + 0x2000 + PAGE_TABLE_USER, 0x1000(%edi)
    movl $page_tables + 0x3000 + PAGE_TABLE_USER, 0x1018(%edi)
    movl $0xfec00000 + PAGE_LARGE_USER, 0x3000 + 502 * 8(%edi)
    movl $0xfee00000 + PAGE_LARGE_USER, 0x3000 + 503 * 8(%edi)
    mov $PAGE_LARGE_USER, %eax
    mov $page_tables + 0x2000, %ebx
    mov $8, %ecx
1:  mov %eax, (%ebx)
    add $0x200000, %eax
    add $8, %ebx
    sub $1, %ecx
    jnz 1b
    jmp enter_long_mode

    .section .text.entry64, "ax"
    .code64
entry64:
    mov $0x10, %eax
    mov %eax, %ss
    mov $boot_stack + BOOT_STACK_BYTES, %esp
    lidt idt_pointer
    call guest_main
    .globl exit_guest
exit_guest_eax:
    out %al, $0xf4
1:  cli
    hlt
    jmp 1b

/* [[noreturn]] void exit_guest(u32 code) */
exit_guest:
    mov %edi, %eax
    jmp exit_guest_eax

/* [[noreturn]] void enter_ring3(void (*function)()): interrupts stay off, so no TSS is needed. */
    .section .text.enter_ring3, "ax"
    .globl enter_ring3
enter_ring3:
    pushq $0x1b
    pushq $ring3_stack + 512
    pushq $2
    pushq $0x23
    push %rdi
    iretq

/* The first 32 vectors end the guest. Vectors whose exceptions push no error code get a 0 pushed. */
    .section .text.faults, "ax"
.macro FAULT_STUB vector
fault_\vector:
    .if \vector != 8 && !(\vector >= 10 && \vector <= 14) && \vector != 17 && \vector != 21
    pushq $0
    .endif
    pushq $\vector
    jmp fault_common
.endm
.macro FAULT_GATE vector
    .word fault_\vector - 0x100000, 0x08, 0x8e00, 0x0010
    .quad 0
.endm

    .irp vector, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    FAULT_STUB \vector
    .endr
    .irp vector, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    FAULT_STUB \vector
    .endr
fault_common:
    mov %rsp, %rdi
    cld
    call on_fault

    .section .data.tables, "aw"
    .balign 8
/* Images are smaller than 64 KiB and start at 1 MiB: a gate's middle half is always 0x0010. */
    .globl idt
idt:
    .irp vector, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    FAULT_GATE \vector
    .endr
    .irp vector, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    FAULT_GATE \vector
    .endr
    .fill 32 * 2, 8, 0
idt_end:
    .globl idt_pointer
idt_pointer:
    .word idt_end - idt - 1
    .quad idt

    .balign 8
    .globl gdt
gdt:
    .quad 0
    .quad 0x00af9b000000ffff /* 0x08: 64-bit code */
    .quad 0x00cf93000000ffff /* 0x10: data */
    .quad 0x00cff3000000ffff /* 0x18: ring 3 data */
    .quad 0x00affb000000ffff /* 0x20: ring 3 64-bit code */
gdt_end:
    .globl gdt_pointer
gdt_pointer: /* the far pointer behind it is the operand of enter_long_mode's jump */
    .word gdt_end - gdt - 1
    .quad gdt
    .long entry64
    .word 0x08

    .section .bss.entry, "aw", @nobits
    .balign 4096
    .globl page_tables
page_tables: /* PML4, PDPT, and the page directories that map_address() hands out */
    .skip 4096 * 12
boot_stack:
    .skip BOOT_STACK_BYTES
ring3_stack:
    .skip 512
    .globl boot_record
boot_record:
    .skip 8

    .section .note.GNU-stack, "", @progbits

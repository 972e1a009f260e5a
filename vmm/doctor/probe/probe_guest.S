/* SPDX-License-Identifier: Apache-2.0
 * The probe guest. Runs once from top to bottom in flat 32-bit protected mode without paging, interrupts off
 * until the busy loop. A port write to MAYFLY_PROBE_PORT_STEP ends each part, so the doctor decides when the
 * next one begins.
 * Straight-line code, because every instruction is dear where ring 0 is interpreted.
 * Spec: Intel SDM Vol. 3A §10.4.4 "Local APIC Status and Location", §6.11 "IDT Descriptors", §10.5.4.1
 * "TSC-Deadline Mode". */
#include "vmm/doctor/probe/probe_guest.h"

#define APIC_EOI 0xfee000b0
#define APIC_SPURIOUS 0xfee000f0
#define APIC_SPURIOUS_ENABLE 0x1ff /* software enable, vector 0xff */
#define APIC_LVT_TIMER 0xfee00320
#define APIC_LVT_TSC_DEADLINE (2 << 17)
#define IA32_TSC_DEADLINE 0x6e0

    .section .rodata.mayfly_probe, "a", @progbits
    .code32
    .balign 16
    .globl mayfly_probe_begin, mayfly_probe_idt, mayfly_probe_gdt, mayfly_probe_end

/* TSC ticks since the matching START go to the 32-bit word at \word. */
.macro START
    rdtsc
    movl %eax, %esi
.endm
.macro STOP word
    rdtsc
    subl %esi, %eax
    movl %eax, \word
.endm

mayfly_probe_begin:
    /* The stack, before an interrupt's frame is the first to touch it: a page that KVM has to supply in the
     * course of a delivery is its slowest path, and not every host's best tested one. */
    pushl $MAYFLY_PROBE_STACK_MARK
    popl %eax
    movl $APIC_SPURIOUS_ENABLE, APIC_SPURIOUS
    outb %al, $MAYFLY_PROBE_PORT_STEP

    /* Part 1: how long ring 0 takes for two plain instructions, many times. */
    .set round, 0
    .rept MAYFLY_PROBE_ROUNDS
    movl $(MAYFLY_PROBE_INSTRUCTIONS / 2), %ecx
    START
1:  subl $1, %ecx
    jnz 1b
    STOP (MAYFLY_PROBE_SPEED_TICKS + 4 * round)
    .set round, round + 1
    .endr
    outb %al, $MAYFLY_PROBE_PORT_STEP

    /* Part 2: returns to user space; the host holds the watch. */
    .rept MAYFLY_PROBE_TRIPS
    outb %al, $MAYFLY_PROBE_PORT_TRIP
    .endr
    outb %al, $MAYFLY_PROBE_PORT_STEP

    /* Part 3: doorbells that KVM answers itself. */
    .set round, 0
    .rept MAYFLY_PROBE_ROUNDS
    START
    .rept MAYFLY_PROBE_DOORBELLS
    outb %al, $MAYFLY_PROBE_PORT_DOORBELL
    .endr
    STOP (MAYFLY_PROBE_DOORBELL_TICKS + 4 * round)
    .set round, round + 1
    .endr
    outb %al, $MAYFLY_PROBE_PORT_STEP

    /* Part 4: busy, with interrupts on, until the host says stop. Never HLT: posted interrupts need a vCPU
     * that runs. */
busy:
    sti
2:  cmpl $0, MAYFLY_PROBE_STOP
    je 2b
    cli

    /* Part 5: a timer, a little ahead, and a halt until it fires, as a kernel idles; again for as long as the
     * host lets it go on. Its first step is the end of part 4. */
    movl $(APIC_LVT_TSC_DEADLINE | MAYFLY_PROBE_VECTOR_TIMER), APIC_LVT_TIMER
next_timer:
    outb %al, $MAYFLY_PROBE_PORT_STEP
    rdtsc
    addl $MAYFLY_PROBE_TIMER_TICKS, %eax
    adcl $0, %edx
    movl $IA32_TSC_DEADLINE, %ecx
    wrmsr
    sti
3:  hlt
    jmp 3b

/* The handlers drop EIP, CS and EFLAGS and go on themselves: KVM's interpreter has no IRET for 32-bit
 * code. */
on_irqfd:
    movl $0, APIC_EOI
    incl MAYFLY_PROBE_IRQFD_COUNT
    addl $12, %esp
    jmp busy
on_msi:
    movl $0, APIC_EOI
    incl MAYFLY_PROBE_MSI_COUNT
    addl $12, %esp
    jmp busy

on_timer:
    movl $0, APIC_EOI
    incl MAYFLY_PROBE_TIMER_COUNT
    addl $12, %esp
    jmp next_timer

/* A 32-bit interrupt gate; all of this lies below 64 KiB. */
.macro GATE handler
    .word \handler - mayfly_probe_begin + MAYFLY_PROBE_LOAD
    .word 0x10
    .word 0x8e00
    .word 0
.endm
    .balign 16
mayfly_probe_idt:
    .zero 8 * MAYFLY_PROBE_VECTOR_IRQFD
    GATE on_irqfd
    GATE on_msi
    GATE on_timer

    .balign 16
mayfly_probe_gdt:
    .quad 0
    .quad 0
    .quad 0x00cf9b000000ffff /* 0x10: code, 4 GiB */
    .quad 0x00cf93000000ffff /* 0x18: data, 4 GiB */
mayfly_probe_end:

    .section .note.GNU-stack, "", @progbits

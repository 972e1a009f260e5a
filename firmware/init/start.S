/* SPDX-License-Identifier: Apache-2.0
 * Where Linux enters our init, in ring 3 with argc at the stack's top; its arguments are of no interest.
 * Specification: System V ABI AMD64 1.0, §3.4.1 "Initial Stack and Register State". */
    .section .text.start, "ax", @progbits
    .globl _start
_start:
    xorl %ebp, %ebp
    andq $-16, %rsp
    call init_main
    ud2

    .section .note.GNU-stack, "", @progbits

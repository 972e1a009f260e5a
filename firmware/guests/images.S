/* SPDX-License-Identifier: Apache-2.0
 * The built-in guests' ELF files as data, most of them packed; assembled with the build directory in the
 * include path. */
.macro GUEST_IMAGE name suffix
    .section .rodata.guest.\name, "a", @progbits
    .balign 64
    .globl guest_\name\()_begin, guest_\name\()_end
guest_\name\()_begin:
    .incbin "\name\().\suffix"
guest_\name\()_end:
.endm
#define MAYFLY_GUEST(name) GUEST_IMAGE name elf.gz
#define MAYFLY_PLAIN_GUEST(name) GUEST_IMAGE name elf

#include "firmware/guests/guests.inc"

    .section .note.GNU-stack, "", @progbits

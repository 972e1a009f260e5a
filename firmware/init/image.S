/* SPDX-License-Identifier: Apache-2.0
 * Our init's ELF file as data; assembled with the build directory in the include path. */
    .section .rodata.init, "a", @progbits
    .balign 64
    .globl init_image_begin, init_image_end
init_image_begin:
    .incbin "init.elf"
init_image_end:

    .section .note.GNU-stack, "", @progbits

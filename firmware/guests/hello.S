/* SPDX-License-Identifier: Apache-2.0
 *
 * hello: prints one line on the serial port and exits with 0.
 * Every instruction is encoded alike in 32-bit and in 64-bit mode, so that all four entries are one label.
 */
#include "firmware/guests/runtime/boot_headers.inc"

BOOT_HEADERS pvh_entry=entry, multiboot_entry=entry

    .section .text.entry, "ax"
    .code32
    .globl linux_entry
linux_entry:
entry:
    mov $1, %al
    out %al, $0x80
    cld
    mov $0x3f8, %edx
    mov $text, %esi
    mov $text_end - text, %ecx
    rep outsb
    xor %eax, %eax
    out %al, $0xf4
1:  hlt
    jmp 1b

text:
    .ascii "Hello from mayfly\n"
text_end:

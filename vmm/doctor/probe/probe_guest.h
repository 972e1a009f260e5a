// SPDX-License-Identifier: Apache-2.0
// The probe guest: a few hundred bytes of 32-bit code that the doctor runs, and its interface with probe.cc.
// Usable from assembly: only #define lines outside __ASSEMBLER__ guards.
#pragma once

/* Where things are in guest-physical memory. */
#define MAYFLY_PROBE_RAM_BYTES 0x10000
#define MAYFLY_PROBE_LOAD 0x1000
#define MAYFLY_PROBE_STACK_TOP 0x8000
#define MAYFLY_PROBE_STACK_MARK 0x6b617473
#define MAYFLY_PROBE_CLOCK 0x5000 /* kvmclock's page */

/* 32-bit words: TSC ticks that a stretch of code took, and what the handlers counted. */
#define MAYFLY_PROBE_SPEED_TICKS 0x4000    /* MAYFLY_PROBE_ROUNDS words */
#define MAYFLY_PROBE_DOORBELL_TICKS 0x4040 /* MAYFLY_PROBE_ROUNDS words */
#define MAYFLY_PROBE_IRQFD_COUNT 0x4080    /* interrupts by irqfd */
#define MAYFLY_PROBE_MSI_COUNT 0x4084      /* interrupts by KVM_SIGNAL_MSI */
#define MAYFLY_PROBE_STOP 0x4088           /* the host writes 1: end the busy loop */
#define MAYFLY_PROBE_TIMER_COUNT 0x408c    /* interrupts by the TSC-deadline timer */

#define MAYFLY_PROBE_ROUNDS 5
#define MAYFLY_PROBE_INSTRUCTIONS 2000   /* in each round of the speed test */
#define MAYFLY_PROBE_DOORBELLS 16        /* in each round */
#define MAYFLY_PROBE_TRIPS 101           /* writes to MAYFLY_PROBE_PORT_TRIP */
#define MAYFLY_PROBE_TIMER_TICKS 1000000 /* of the TSC, from now to a timer's deadline */

/* One-byte port writes. */
#define MAYFLY_PROBE_PORT_STEP 0xe1 /* a part is done */
#define MAYFLY_PROBE_PORT_TRIP 0xe2
#define MAYFLY_PROBE_PORT_DOORBELL 0xe3 /* an ioeventfd */

#define MAYFLY_PROBE_VECTOR_IRQFD 0x40
#define MAYFLY_PROBE_VECTOR_MSI 0x41
#define MAYFLY_PROBE_VECTOR_TIMER 0x42
#define MAYFLY_PROBE_IDT_BYTES 0x218 /* 0x43 gates */
#define MAYFLY_PROBE_GDT_BYTES 0x20

#ifndef __ASSEMBLER__

#include <cstddef>

// The labels of probe_guest.S.
extern "C" const std::byte mayfly_probe_begin[];
extern "C" const std::byte mayfly_probe_idt[];
extern "C" const std::byte mayfly_probe_gdt[];
extern "C" const std::byte mayfly_probe_end[];

#endif

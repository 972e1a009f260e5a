// SPDX-License-Identifier: Apache-2.0
// Registers of the test device: how a guest asks for interrupts, so that it can prove that they arrive.
//
// The first two blocks are those of QEMU's pc-testdev, which kvm-unit-tests drive; the third is ours.
// This is our own interface: the names below are its specification, shared with firmware/guests.
// Usable from assembly: only #define lines outside __ASSEMBLER__ guards.
#pragma once

/* 4 bytes, read/write scratch register. */
#define MAYFLY_TESTDEV_SCRATCH 0xe0

/* 24 one-byte ports: port 0x2000+n drives GSI n. A write of 0 lowers the line, anything else raises it.
 * GSI 0-15 reach both 8259s and IOAPIC pins 0-15 (GSI 0: IOAPIC pin 2), 16-23 IOAPIC pins only.
 * In the modern profile, which has neither, writes are ignored. */
#define MAYFLY_TESTDEV_IRQ 0x2000
#define MAYFLY_TESTDEV_IRQ_COUNT 24

/* 32-bit read/write: the MSI that the actions below send. Address 0xFEExxxxx, data as the SDM has it. */
#define MAYFLY_TESTDEV_MSI_ADDRESS 0x2020
#define MAYFLY_TESTDEV_MSI_DATA 0x2024

/* 8-bit write: one of the actions. 8-bit read: 0 when the last action was done, 1 when this machine cannot
 * (no in-kernel irqchip), 2 when the host refused it. */
#define MAYFLY_TESTDEV_ACTION 0x2028
#define MAYFLY_TESTDEV_SIGNAL_MSI 1   /* send the MSI now, by KVM_SIGNAL_MSI */
#define MAYFLY_TESTDEV_IRQFD 2        /* send it through an irqfd and a KVM_SET_GSI_ROUTING route */
#define MAYFLY_TESTDEV_LOOPBACK_ON 3  /* from now on each write to DOORBELL sends it inside the kernel */
#define MAYFLY_TESTDEV_LOOPBACK_OFF 4 /* doorbell writes come to user space again */
#define MAYFLY_TESTDEV_COALESCE_ON 5  /* writes to COALESCED are collected by the kernel */
#define MAYFLY_TESTDEV_COALESCE_OFF 6

/* 8, 16 or 32-bit write: the doorbell. With loopback on: ioeventfd -> eventfd -> irqfd, no return to user
 * space. */
#define MAYFLY_TESTDEV_DOORBELL 0x202c
/* 32-bit read: doorbell writes that came to user space since the machine started. */
#define MAYFLY_TESTDEV_DOORBELL_COUNT 0x2030

/* 8-bit write: adds the value to SUM and one to WRITES. */
#define MAYFLY_TESTDEV_COALESCED 0x2034
/* 32-bit reads: writes seen, their sum, and how many returns to user space brought them (a coalesced batch is
 * one). */
#define MAYFLY_TESTDEV_COALESCED_WRITES 0x2038
#define MAYFLY_TESTDEV_COALESCED_SUM 0x203c
#define MAYFLY_TESTDEV_COALESCED_RETURNS 0x2040

/* 8-bit write of n: for n times, 1 ms apart, send the MSI by irqfd from another thread (at most 255). */
#define MAYFLY_TESTDEV_MSI_TRAIN 0x2044

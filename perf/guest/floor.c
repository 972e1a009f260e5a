/* SPDX-License-Identifier: Apache-2.0
 *
 * floor: the least that a program can do to boot `hello` on KVM, as the measure for mayfly.
 * One memory slot, the split irqchip, one vCPU with KVM's own CPUID, the PVH entry state, and a
 * loop that writes serial bytes out and ends at the exit port. No option, no table, no error
 * message worth reading. With an argument it stores the time of the first exit in that file, in the
 * form of `--timeline-json`. Single thread. Documentation/virt/kvm/api.rst "API description".
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <elf.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hello_image.h" /* the same file that mayfly carries as builtin:hello */

enum {
    KVM_API = 12,
    CPUID_ENTRIES = 256,
    PORT_SERIAL = 0x3f8,
    PORT_EXIT = 0xf4,
    SELECTOR_CODE = 0x10,
    SELECTOR_DATA = 0x18,
    SELECTOR_TSS = 0x20,
    TYPE_CODE = 0xb,
    TYPE_DATA = 0x3,
    TYPE_TSS = 0xb,
    STATUS_FAILED = 125,
};

static const size_t kMemoryBytes = (size_t)128 << 20;
#define HOLE (3ull << 30)

/* struct kvm_cpuid2 ends in a flexible array, so its storage is laid out by hand. */
static union {
    struct kvm_cpuid2 table;
    unsigned char bytes[sizeof(struct kvm_cpuid2) + CPUID_ENTRIES * sizeof(struct kvm_cpuid_entry2)];
} cpuid;

static uint64_t monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int must(int result, const char* what) {
    if (result >= 0) return result;
    perror(what);
    _exit(STATUS_FAILED);
}

/* Every PT_LOAD, without the checks that a monitor owes to a file it does not know. Returns the
 * entry, which hello has in common for all protocols. */
static uint64_t load_hello(char* ram) {
    Elf64_Ehdr file;
    memcpy(&file, hello, sizeof(file));
    for (unsigned i = 0; i < file.e_phnum; ++i) {
        Elf64_Phdr segment;
        memcpy(&segment, hello + file.e_phoff + i * sizeof(segment), sizeof(segment));
        if (segment.p_type == PT_LOAD)
            memcpy(ram + segment.p_paddr, hello + segment.p_offset, segment.p_filesz);
    }
    return file.e_entry;
}

static struct kvm_segment flat(uint16_t selector, uint8_t type) {
    struct kvm_segment segment;
    memset(&segment, 0, sizeof(segment));
    segment.limit = 0xffffffff;
    segment.selector = selector;
    segment.type = type;
    segment.present = segment.s = segment.g = segment.db = 1;
    return segment;
}

/* xen.git docs/misc/pvh.pandoc "x86/HVM direct boot ABI": 32-bit, flat segments, paging off. */
static void enter_as_pvh(int vcpu, uint64_t entry) {
    struct kvm_sregs sregs;
    must(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
    sregs.cs = flat(SELECTOR_CODE, TYPE_CODE);
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat(SELECTOR_DATA, TYPE_DATA);
    memset(&sregs.tr, 0, sizeof(sregs.tr));
    sregs.tr.limit = 0x67;
    sregs.tr.selector = SELECTOR_TSS;
    sregs.tr.type = TYPE_TSS;
    sregs.tr.present = 1;
    sregs.cr0 = 1 | 1 << 4 | 1 << 5; /* PE, ET, NE */
    must(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
    struct kvm_regs regs;
    memset(&regs, 0, sizeof(regs));
    regs.rip = entry;
    regs.rsp = 0x5ff0;
    regs.rflags = 2;
    must(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

static void store_stamp(const char* path, uint64_t at_ns) {
    FILE* file = fopen(path, "we");
    if (file == NULL) must(-1, path);
    fprintf(file, "{\"exec_monotonic_ns\": 0, \"phases\": {\"first_exit\": %llu}}\n",
            (unsigned long long)at_ns);
    fclose(file);
}

/* Up to the hole below 4 GiB, and on from 4 GiB. */
static void add_ram(int vm, char* ram, uint64_t bytes) {
    const uint64_t low = bytes < HOLE ? bytes : HOLE;
    struct kvm_userspace_memory_region slot = {.memory_size = low, .userspace_addr = (uintptr_t)ram};
    must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot), "KVM_SET_USER_MEMORY_REGION");
    if (bytes == low) return;
    struct kvm_userspace_memory_region high = {.slot = 1,
                                               .guest_phys_addr = 4ull << 30,
                                               .memory_size = bytes - low,
                                               .userspace_addr = (uintptr_t)ram + low};
    must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &high), "KVM_SET_USER_MEMORY_REGION");
}

/* floor [STAMP-FILE|-] [MEMORY-MIB] */
int main(int argc, char** argv) {
    const char* stamp = argc > 1 && strcmp(argv[1], "-") != 0 ? argv[1] : NULL;
    const uint64_t ram_bytes = argc > 2 ? strtoull(argv[2], NULL, 10) << 20 : kMemoryBytes;
    const int kvm = must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
    if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API) must(-1, "KVM_GET_API_VERSION");
    const size_t run_bytes = (size_t)must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
    const int vm = must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");

    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    char* ram = mmap(NULL, ram_bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (ram == MAP_FAILED) must(-1, "mmap");
    const uint64_t entry = load_hello(ram);
    add_ram(vm, ram, ram_bytes);
    struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP};
    must(ioctl(vm, KVM_ENABLE_CAP, &split), "KVM_CAP_SPLIT_IRQCHIP");

    const int vcpu = must(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
    struct kvm_run* run = mmap(NULL, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    if (run == MAP_FAILED) must(-1, "mmap of kvm_run");
    cpuid.table.nent = CPUID_ENTRIES;
    must(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid), "KVM_GET_SUPPORTED_CPUID");
    must(ioctl(vcpu, KVM_SET_CPUID2, &cpuid), "KVM_SET_CPUID2");
    enter_as_pvh(vcpu, entry);

    must(ioctl(vcpu, KVM_RUN, 0), "KVM_RUN");
    const uint64_t first_exit_ns = stamp != NULL ? monotonic_ns() : 0;
    for (;;) {
        if (run->exit_reason != KVM_EXIT_IO || run->io.direction != KVM_EXIT_IO_OUT)
            must(-1, "an exit that hello does not make");
        const unsigned char* bytes = (const unsigned char*)run + run->io.data_offset;
        if (run->io.port == PORT_EXIT) {
            if (stamp != NULL) store_stamp(stamp, first_exit_ns);
            _exit(bytes[0]);
        }
        if (run->io.port == PORT_SERIAL) must((int)write(STDOUT_FILENO, bytes, run->io.count), "write");
        must(ioctl(vcpu, KVM_RUN, 0), "KVM_RUN");
    }
}

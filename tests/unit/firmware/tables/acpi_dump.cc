// SPDX-License-Identifier: Apache-2.0
// acpi_dump MACHINE CPUS DIRECTORY: writes each ACPI table of a test machine to DIRECTORY/SIGNATURE.dat.
//
// For acpi_iasl.py, which hands the files to ACPICA's disassembler and compiler.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tests/unit/firmware/tables/machines.h"

using namespace mayfly;

namespace {

using MachineMaker = AcpiOptions (*)(u32 cpu_count);

/// Null for an unknown name.
MachineMaker find_machine(std::string_view name) {
    if (name == "modern") return test::modern_machine;
    if (name == "modern-serial") return test::machine_with_serial_ioapic;
    if (name == "modern-mmio") return test::machine_with_virtio_mmio;
    if (name == "legacy") return test::legacy_machine;
    if (name == "legacy-intx") return test::legacy_machine_with_intx;
    if (name == "full") return test::full_machine;
    if (name == "bare") return test::bare_machine;
    return nullptr;
}

bool write_file(const std::string& path, const std::vector<u8>& bytes) {
    std::FILE* file = std::fopen(path.c_str(), "wbe");
    if (file == nullptr) return false;
    const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
    return std::fclose(file) == 0 && written;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: acpi_dump MACHINE CPUS DIRECTORY\n");
        return 2;
    }
    const u32 cpu_count = static_cast<u32>(std::strtoul(argv[2], nullptr, 10));
    const MachineMaker make = find_machine(argv[1]);
    if (make == nullptr) {
        std::fprintf(stderr, "acpi_dump: no machine %s\n", argv[1]);
        return 2;
    }
    const GuestRam ram = test::small_ram();
    const Gpa rsdp = write_acpi(ram.memory(), make(cpu_count)).value();
    const std::string directory = argv[3];
    for (const test::FoundTable& table : test::find_tables(ram.memory(), rsdp))
        if (!write_file(directory + "/" + table.signature + ".dat", table.bytes)) return 1;
    return 0;
}

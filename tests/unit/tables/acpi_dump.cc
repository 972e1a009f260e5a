// SPDX-License-Identifier: Apache-2.0
// acpi_dump MACHINE CPUS DIRECTORY: writes each ACPI table of a test machine to DIRECTORY/SIGNATURE.dat.
//
// For acpi_iasl.py, which hands the files to ACPICA's disassembler and compiler.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tests/unit/tables/machines.h"

using namespace mayfly;

namespace {

bool write_file(const std::string& path, const std::vector<u8>& bytes) {
    std::FILE* file = std::fopen(path.c_str(), "wbe");
    if (file == nullptr) return false;
    const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
    return std::fclose(file) == 0 && written;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: acpi_dump modern|legacy|bare CPUS DIRECTORY\n");
        return 2;
    }
    const std::string_view machine = argv[1];
    const u32 cpu_count = static_cast<u32>(std::strtoul(argv[2], nullptr, 10));
    const AcpiOptions options = machine == "modern"   ? test::modern_machine(cpu_count)
                                : machine == "legacy" ? test::legacy_machine(cpu_count)
                                                      : test::bare_machine(cpu_count);
    const GuestRam ram = test::small_ram();
    const Gpa rsdp = write_acpi(ram.memory(), options).value();
    const std::string directory = argv[3];
    for (const test::FoundTable& table : test::find_tables(ram.memory(), rsdp))
        if (!write_file(directory + "/" + table.signature + ".dat", table.bytes)) return 1;
    return 0;
}

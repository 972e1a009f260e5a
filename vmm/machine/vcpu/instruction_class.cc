// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/vcpu/instruction_class.h"

#include <array>

namespace mayfly {

namespace {

struct Decoded {
    bool has_66 = false;
    bool has_f2 = false;
    bool has_f3 = false;
    bool is_wide = false;  // REX.W
    std::span<const u8> opcode;
};

Decoded strip_prefixes(std::span<const u8> bytes, bool is_64bit) {
    Decoded decoded;
    std::size_t at = 0;
    for (; at < bytes.size(); ++at) {
        const u8 byte = bytes[at];
        if (byte == 0x66)
            decoded.has_66 = true;
        else if (byte == 0xf2)
            decoded.has_f2 = true;
        else if (byte == 0xf3)
            decoded.has_f3 = true;
        else if (byte != 0x2e && byte != 0x36 && byte != 0x3e && byte != 0x26 && byte != 0x64 &&
                 byte != 0x65 && byte != 0x67 && byte != 0xf0)
            break;
    }
    if (is_64bit && at < bytes.size() && (bytes[at] & 0xf0) == 0x40) {
        decoded.is_wide = (bytes[at] & 8) != 0;
        ++at;
    }
    decoded.opcode = bytes.subspan(at);
    return decoded;
}

u8 modrm_reg(u8 modrm) { return (modrm >> 3) & 7; }
bool is_register_form(u8 modrm) { return modrm >= 0xc0; }

std::string_view group_0f01(u8 modrm) {
    switch (modrm) {
        case 0xc1: return "vmcall";
        case 0xc8: return "monitor";
        case 0xc9: return "mwait";
        case 0xca: return "clac";
        case 0xcb: return "stac";
        case 0xd0: return "xgetbv";
        case 0xd1: return "xsetbv";
        case 0xd9: return "vmmcall";
        case 0xf8: return "swapgs";
        case 0xf9: return "rdtscp";
        default: return "a system instruction (0f 01)";
    }
}

std::string_view group_0fae(const Decoded& code, u8 modrm) {
    if (is_register_form(modrm)) {
        if (code.has_f3 && modrm_reg(modrm) < 4) return "rdfsbase/wrfsbase";
        return "a fence";
    }
    constexpr std::array<std::string_view, 8> kMemory{"fxsave", "fxrstor", "ldmxcsr",  "stmxcsr",
                                                      "xsave",  "xrstor",  "xsaveopt", "clflush"};
    if (code.has_66) return modrm_reg(modrm) == 6 ? "clwb" : "clflushopt";
    return kMemory[modrm_reg(modrm)];
}

std::string_view group_0fc7(const Decoded& code, u8 modrm) {
    if (is_register_form(modrm)) return modrm_reg(modrm) == 6 ? "rdrand" : "rdseed/rdpid";
    switch (modrm_reg(modrm)) {
        case 1: return code.is_wide ? "cmpxchg16b" : "cmpxchg8b";
        case 3: return "xrstors";
        case 4: return "xsavec";
        case 5: return "xsaves";
        default: return "an instruction of group 0f c7";
    }
}

std::string_view three_byte_38(const Decoded& code, u8 opcode) {
    if (opcode == 0xf0 || opcode == 0xf1) return code.has_f2 ? "crc32" : "movbe";
    if (code.has_66 && opcode == 0x80) return "invept";
    if (code.has_66 && opcode == 0x82) return "invpcid";
    if (opcode == 0xf6) return "adcx/adox";
    if (opcode >= 0xc8 && opcode <= 0xcd) return "SHA";
    if (opcode >= 0xdb && opcode <= 0xdf) return "AES";
    return "SSE (0f 38)";
}

std::string_view two_byte(const Decoded& code) {
    const std::span<const u8> rest = code.opcode.subspan(1);
    if (rest.empty()) return "an instruction of the two-byte map";
    const u8 opcode = rest[0];
    const u8 modrm = rest.size() > 1 ? rest[1] : 0;
    switch (opcode) {
        case 0x01: return group_0f01(modrm);
        case 0x0b: return "ud2";
        case 0x38: return three_byte_38(code, modrm);
        case 0x3a: return "SSE (0f 3a)";
        case 0x77: return "emms";
        case 0xae: return group_0fae(code, modrm);
        case 0xb8: return "popcnt";
        case 0xc7: return group_0fc7(code, modrm);
        default: break;
    }
    if (opcode == 0x6e || opcode == 0x7e) return "movd/movq";
    if ((opcode >= 0x10 && opcode <= 0x17) || (opcode >= 0x28 && opcode <= 0x2f) ||
        (opcode >= 0x50 && opcode <= 0x7f) || (opcode >= 0xd0 && opcode != 0xff))
        return "SSE or MMX";
    return "an instruction of the two-byte map";
}

}  // namespace

std::string_view instruction_class(std::span<const u8> bytes, bool is_64bit) {
    const Decoded code = strip_prefixes(bytes, is_64bit);
    if (code.opcode.empty()) return "unknown bytes";
    const u8 first = code.opcode[0];
    switch (first) {
        case 0x0f: return two_byte(code);
        case 0x62: return is_64bit ? "AVX-512" : "bound";
        case 0x9b: return "fwait";
        case 0xc4:
        case 0xc5: return is_64bit ? "AVX" : "les/lds or AVX";
        case 0xcc: return "int3";
        case 0xcd: return "int";
        case 0xcf: return "iret";
        case 0xf1: return "int1";
        default: break;
    }
    if (first >= 0xd8 && first <= 0xdf) return "x87";
    return "an instruction of the one-byte map";
}

}  // namespace mayfly

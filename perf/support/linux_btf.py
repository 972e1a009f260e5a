# SPDX-License-Identifier: Apache-2.0
"""Where members of a kernel's structures are, by the type information in its vmlinux (section .BTF).

Linux 6.1, Documentation/bpf/btf.rst, "2. BTF Type and String Encoding": a header, then types, each 12 bytes
and its kind's own part, numbered from 1; then strings.
"""
import struct

MAGIC = 0xEB9F
# Bytes after the 12 of a type, by kind: fixed, or for each of its `vlen` members.
KIND_INT, KIND_ARRAY, KIND_STRUCT, KIND_UNION, KIND_ENUM = 1, 3, 4, 5, 6
KIND_FUNC_PROTO, KIND_VAR, KIND_DATASEC, KIND_DECL_TAG, KIND_ENUM64 = 13, 14, 15, 17, 19
FIXED = {KIND_INT: 4, KIND_ARRAY: 12, KIND_VAR: 4, KIND_DECL_TAG: 4}
EACH = {KIND_STRUCT: 12, KIND_UNION: 12, KIND_ENUM: 8, KIND_FUNC_PROTO: 8, KIND_DATASEC: 12, KIND_ENUM64: 12}


def section(path, name):
    """The bytes of a section of a little-endian ELF64 file."""
    with open(path, "rb") as file:
        data = file.read()
    table, entry_bytes, count, names = (
        struct.unpack_from(kind, data, at)[0] for kind, at in (("<Q", 40), ("<H", 58), ("<H", 60), ("<H", 62))
    )
    headers = [struct.unpack_from("<IIQQQQ", data, table + i * entry_bytes) for i in range(count)]
    strings = headers[names][4]
    for header in headers:
        begin = strings + header[0]
        if data[begin : data.index(b"\0", begin)] == name:
            return data[header[4] : header[4] + header[5]]
    raise LookupError(f"{path} has no section {name.decode()}")


class Types:
    def __init__(self, vmlinux):
        data = section(vmlinux, b".BTF")
        magic, _, _, header = struct.unpack_from("<HBBI", data)
        types, types_bytes, strings, strings_bytes = struct.unpack_from("<IIII", data, 8)
        if magic != MAGIC:
            raise LookupError(f"{vmlinux}: the type information begins with {magic:#x}, expected {MAGIC:#x}")
        self._types = data[header + types : header + types + types_bytes]
        self._strings = data[header + strings : header + strings + strings_bytes]
        self._offsets = [0]  # the type 0 is void
        at = 0
        while at < len(self._types):
            self._offsets.append(at)
            _, info, _ = struct.unpack_from("<III", self._types, at)
            kind = info >> 24 & 0x1F
            at += 12 + FIXED.get(kind, 0) + EACH.get(kind, 0) * (info & 0xFFFF)

    def _name(self, at):
        return self._strings[at : self._strings.index(b"\0", at)].decode()

    def _struct(self, name):
        for at in self._offsets[1:]:
            name_at, info, _ = struct.unpack_from("<III", self._types, at)
            if info >> 24 & 0x1F == KIND_STRUCT and self._name(name_at) == name:
                return at
        raise LookupError(f"no struct {name}")

    def offset(self, struct_name, path):
        """Bytes from the beginning of a structure to its member, for instance "vtime.gtime"."""
        at, total = self._struct(struct_name), 0
        for wanted in path.split("."):
            member, type_at = self._member(at, wanted)
            total, at = total + member, type_at
        return total

    def _member(self, at, wanted):
        count = struct.unpack_from("<I", self._types, at + 4)[0] & 0xFFFF
        for index in range(count):
            name, kind, bits = struct.unpack_from("<III", self._types, at + 12 + 12 * index)
            if self._name(name) == wanted:
                # The upper byte is a bit field's width where a structure has bit fields.
                return (bits & 0xFFFFFF) // 8, self._offsets[kind]
        raise LookupError(f"no member {wanted}")

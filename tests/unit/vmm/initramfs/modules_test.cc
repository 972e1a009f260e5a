// SPDX-License-Identifier: Apache-2.0
// Which kernel modules are packed, in which order, unpacked, and which faults of their directories are found.
#include <catch2/catch.hpp>

#include "tests/unit/firmware/image/packer.h"
#include "tests/unit/vmm/initramfs/module_builder.h"
#include "tests/unit/vmm/initramfs/newc_reader.h"
#include "tests/unit/vmm/initramfs/scratch_tree.h"
#include "vmm/initramfs/module_list.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

using Strings = std::vector<std::string>;
using namespace std::string_literals;

/// Names in load order; those that may fail have a '?'.
Strings order(const ModuleTexts& texts, const std::vector<std::string_view>& wanted) {
    const ModuleList list(texts);
    const auto modules = list.resolve(wanted);
    INFO((modules ? "" : modules.error().message()));
    REQUIRE(modules.has_value());
    Strings names;
    for (const ModuleToLoad& one : *modules)
        names.push_back(std::string(one.name) + (one.is_optional ? "?" : ""));
    return names;
}

std::string problem(const ModuleTexts& texts, const std::vector<std::string_view>& wanted) {
    const ModuleList list(texts);
    const auto modules = list.resolve(wanted);
    REQUIRE_FALSE(modules.has_value());
    return modules.error().message();
}

ModuleTexts dependencies(const std::string& text) { return {text, "", "", ""}; }

/// A module's file: nothing but ELF's magic is looked at.
std::string module_text(const std::string& what) {
    return "\x7f"
           "ELF" +
           what + std::string(5000, 'm');
}

Bytes to_bytes(const std::string& text) {
    const auto* data = reinterpret_cast<const std::byte*>(text.data());
    return {data, data + text.size()};
}

std::string to_text(const Bytes& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// A program beside a directory of modules.
class Kernel : public ScratchTree {
  public:
    Kernel() { file("prog", elf_program(), 0755); }

    [[nodiscard]] InitramfsRequest request(const std::string& directory,
                                           std::vector<std::string_view> wanted = {"one"}) const {
        InitramfsRequest request = request_for(path("prog"));
        request.modules = path(directory);
        request.wanted_modules = std::move(wanted);
        return request;
    }
    [[nodiscard]] std::vector<NewcEntry> packed(const InitramfsRequest& request) const {
        const Result<UniqueFd> archive = pack_initramfs(request);
        INFO((archive ? "" : archive.error().message()));
        REQUIRE(archive.has_value());
        return read_newc(read_all(*archive));
    }
    void add_version(const std::string& directory) const {
        file(directory + "/modules.dep", "kernel/one.ko:\n");
        file(directory + "/kernel/one.ko", module_text(directory));
    }
};

}  // namespace

TEST_CASE("dependencies are loaded first, each once, in any listing order") {
    const ModuleTexts texts = dependencies(
        "kernel/a.ko: kernel/b.ko kernel/c.ko kernel/d.ko\n"
        "kernel/b.ko: kernel/d.ko kernel/c.ko\n"
        "kernel/c.ko: kernel/d.ko\n"
        "kernel/d.ko:\n"
        "kernel/other.ko: kernel/d.ko\n");
    CHECK(order(texts, {"a"}) == Strings{"d", "c", "b", "a"});
    CHECK(order(texts, {"other", "a", "other"}) == Strings{"d", "other", "c", "b", "a"});
    CHECK(order(texts, {}).empty());
}

TEST_CASE(
    "a hyphen and an underscore are the same in a module's name, and a suffix of compression is not part of "
    "it") {
    const ModuleTexts texts =
        dependencies("kernel/virtio_blk.ko.xz:\nkernel/sha256-ssse3.ko.zst:\nx/i2c-dev.ko.gz:");
    CHECK(order(texts, {"virtio-blk", "sha256_ssse3", "i2c-dev"}) ==
          Strings{"virtio_blk", "sha256-ssse3", "i2c-dev"});
    CHECK(problem(texts, {"virtio_bl"}) ==
          "the kernel module virtio_bl is neither in the directory nor built into the kernel");
}

TEST_CASE("built-in modules are left out") {
    ModuleTexts texts = dependencies("kernel/a.ko:\n");
    texts.builtin = "kernel/drivers/virtio/virtio_pci.ko\nkernel/fs/ext4/ext4.ko\n";
    CHECK(order(texts, {"virtio-pci", "a", "ext4"}) == Strings{"a"});
    CHECK(problem(texts, {"ext"}) ==
          "the kernel module ext is neither in the directory nor built into the kernel");
}

TEST_CASE("modules that need each other come once each") {
    const ModuleTexts texts = dependencies("a.ko: b.ko\nb.ko: c.ko\nc.ko: a.ko\nself.ko: self.ko\n");
    CHECK(order(texts, {"a"}) == Strings{"c", "b", "a"});
    CHECK(order(texts, {"self"}) == Strings{"self"});
}

TEST_CASE("a chain of many modules needs no stack") {
    std::string text;
    for (int i = 0; i < 3000; ++i)
        text += "m" + std::to_string(i) + ".ko: m" + std::to_string(i + 1) + ".ko\n";
    text += "m3000.ko:\n";
    CHECK(order(dependencies(text), {"m0"}).size() == 3001);
}

TEST_CASE("soft dependencies come before, by name or alias, and may fail") {
    ModuleTexts texts = dependencies(
        "kernel/btrfs.ko: kernel/xor.ko\nkernel/xor.ko:\nkernel/crc32c-intel.ko: kernel/help.ko\n"
        "kernel/crc32c_generic.ko:\nkernel/help.ko:\nkernel/late.ko:\n");
    texts.soft_dependencies =
        "# made by depmod\nsoftdep btrfs pre: crc32c nowhere xor post: late\nsoftdep x pre: y\n";
    texts.aliases = "alias pci:v* other\nalias crc32c crc32c_generic\nalias crc32c crc32c_intel\n";
    // xor is required as well, so it may not fail.
    CHECK(order(texts, {"btrfs"}) == Strings{"crc32c_generic?", "help?", "crc32c-intel?", "xor", "btrfs"});
    CHECK(order(texts, {"btrfs", "crc32c-intel"}) ==
          Strings{"crc32c_generic?", "help", "crc32c-intel", "xor", "btrfs"});
}

TEST_CASE("soft dependencies in a circle end") {
    ModuleTexts texts = dependencies("a.ko:\nb.ko:\n");
    texts.soft_dependencies = "softdep a pre: b\nsoftdep b pre: a\nsoftdep a pre: a\n";
    CHECK(order(texts, {"a"}) == Strings{"b?", "a"});
}

TEST_CASE("an invalid list is refused") {
    CHECK(problem(dependencies("a.ko: gone.ko\n"), {"a"}) ==
          "modules.dep: a.ko needs gone.ko, which has no line");
    CHECK(problem(dependencies("../../etc/a.ko:\n"), {"a"}) ==
          "modules.dep names ../../etc/a.ko, which is outside of its directory");
    CHECK(problem(dependencies("x/../../a.ko:\n"), {"a"}).find("outside") != std::string::npos);
    CHECK(problem(dependencies("/lib/a.ko:\n"), {"a"}).find("outside") != std::string::npos);
    CHECK(order(dependencies("\n\nno colon\n#x:\n  \n:\na.ko:"), {"a"}) == Strings{"a"});
}

TEST_CASE("modules are packed unpacked, and the job lists them in load order") {
    const Kernel kernel;
    const std::string dep =
        "kernel/a.ko.xz: kernel/b.ko.gz\nkernel/b.ko.gz: kernel/c.ko.zst\nkernel/c.ko.zst: kernel/d.ko\n"
        "kernel/d.ko:\nkernel/unused.ko:\n";
    kernel.file("v/modules.dep", dep);
    kernel.file("v/modules.builtin", "kernel/ext4.ko\n");
    kernel.file("v/modules.softdep", "softdep a pre: soft\n");
    kernel.file("v/modules.dep", dep + "kernel/soft.ko:\n");
    kernel.file("v/kernel/a.ko.xz", to_text(pack_xz(to_bytes(module_text("a")))));
    kernel.file("v/kernel/b.ko.gz", to_text(pack_gzip(to_bytes(module_text("b")))));
    kernel.file("v/kernel/c.ko.zst", to_text(pack_zstd(to_bytes(module_text("c")))));
    kernel.file("v/kernel/d.ko", module_text("d"));
    kernel.file("v/kernel/soft.ko", module_text("soft"));
    const auto entries = kernel.packed(kernel.request("v", {"a", "ext4"}));
    for (const std::string name : {"a", "b", "c", "d", "soft"})
        CHECK(entry(entries, ".mayfly/modules/" + name + ".ko").content == module_text(name));
    CHECK_FALSE(has_entry(entries, ".mayfly/modules/unused.ko"));
    CHECK(entry(entries, ".mayfly/job")
              .content.find("o/.mayfly/modules/soft.ko\0m/.mayfly/modules/d.ko\0m/.mayfly/modules/c.ko\0"
                            "m/.mayfly/modules/b.ko\0m/.mayfly/modules/a.ko\0"s) != std::string::npos);
}

TEST_CASE("the directory may be the version's, or hold it in three ways") {
    const Kernel kernel;
    kernel.add_version("root/lib/modules/6.1");
    kernel.add_version("usr/usr/lib/modules/6.1");
    for (const char* directory : {"root", "root/", "root/lib/modules", "root/lib/modules/6.1/", "usr"})
        CHECK(has_entry(kernel.packed(kernel.request(directory)), ".mayfly/modules/one.ko"));
    kernel.add_version("root/lib/modules/6.12");
    CHECK(refusal(kernel.request("root")) ==
          kernel.path("root") + ": holds the modules of 2 kernels (name one: " + kernel.path("root") +
              "/lib/modules/6.1 or " + kernel.path("root") + "/lib/modules/6.12)");
    CHECK(has_entry(kernel.packed(kernel.request("root/lib/modules/6.12")), ".mayfly/modules/one.ko"));
}

TEST_CASE("without depmod's list, the modules themselves tell their dependencies") {
    const Kernel kernel;
    const std::string v = "deb/lib/modules/6.12/";
    kernel.file(v + "kernel/net/one.ko",
                module_with("depends=two-x,three\0softdep=pre: four gone post: five\0"s));
    kernel.file(v + "kernel/two_x.ko.xz", to_text(pack_xz(to_bytes(module_with("depends=three\0"s)))));
    kernel.file(v + "updates/three.ko.zst", to_text(pack_zstd(to_bytes(module_with("depends=\0"s)))));
    kernel.file(v + "kernel/four.ko.gz", to_text(pack_gzip(to_bytes(module_with("depends=six\0"s)))));
    kernel.file(v + "kernel/six.ko", module_with("depends=one\0"s));
    kernel.file(v + "kernel/five.ko", module_with("depends=\0"s));
    kernel.file(v + "kernel/other.ko", "is not even looked at");
    kernel.file(v + "modules.builtin", "kernel/ext4.ko\n");
    const std::string jobs =
        "o/.mayfly/modules/six.ko\0o/.mayfly/modules/four.ko\0m/.mayfly/modules/three.ko\0"
        "m/.mayfly/modules/two_x.ko\0m/.mayfly/modules/one.ko\0"s;
    for (const char* directory : {"deb", "deb/lib/modules", "deb/lib/modules/6.12"}) {
        const auto entries = kernel.packed(kernel.request(directory, {"ext4", "one"}));
        CHECK(entry(entries, ".mayfly/job").content.find(jobs) != std::string::npos);
        CHECK_FALSE(has_entry(entries, ".mayfly/modules/five.ko"));
    }
    CHECK(refusal(kernel.request("deb", {"nine"})) ==
          kernel.path("deb/lib/modules/6.12") +
              ": the kernel module nine is neither in the directory nor built into the kernel");
    CHECK(refusal(kernel.request("deb", {"other"})) ==
          kernel.path(v + "kernel/other.ko") + ": is not a kernel module: neither ELF nor compressed");
    kernel.file(v + "kernel/other.ko", module_text("no info"));
    CHECK(refusal(kernel.request("deb", {"other"})) ==
          kernel.path(v + "kernel/other.ko") + ": is not a kernel module: it lacks the section .modinfo");
    kernel.file(v + "kernel/other.ko", module_with("depends=nine\0"s));
    CHECK(refusal(kernel.request("deb", {"other"})) ==
          kernel.path("deb/lib/modules/6.12") + ": kernel/other.ko needs the module nine, which is missing");
}

TEST_CASE("a directory without modules is not taken") {
    const Kernel kernel;
    kernel.directory("empty");
    CHECK(refusal(kernel.request("empty")) ==
          kernel.path("empty") +
              ": holds no kernel modules: no modules.dep or kernel/, no VERSION or lib/modules/VERSION with "
              "them");
    CHECK(refusal(kernel.request("none")) == kernel.path("none") + ": no such directory");
    // Also where no module is wanted: the option is wrong all the same.
    CHECK(refusal(kernel.request("none", {})) == kernel.path("none") + ": no such directory");
}

TEST_CASE("of several kernels' modules, the kernel's own are taken") {
    const Kernel kernel;
    kernel.add_version("root/lib/modules/6.1");
    kernel.add_version("root/lib/modules/6.12");
    InitramfsRequest request = kernel.request("root");
    request.kernel_release = "6.12";
    CHECK(entry(kernel.packed(request), ".mayfly/modules/one.ko").content ==
          module_text("root/lib/modules/6.12"));
    request.kernel_release = "2";
    CHECK(refusal(request).find("holds the modules of 2 kernels") != std::string::npos);
}

TEST_CASE("modules of another release than the kernel's are refused with both") {
    const Kernel kernel;
    kernel.file("v/modules.dep", "one.ko:\n");
    kernel.file("v/one.ko", module_with("vermagic=6.1.0-9-amd64 SMP preempt mod_unload modversions \0"s));
    InitramfsRequest request = kernel.request("v");
    CHECK(has_entry(kernel.packed(request), ".mayfly/modules/one.ko"));
    request.kernel_release = "6.1.0-9-amd64";
    CHECK(has_entry(kernel.packed(request), ".mayfly/modules/one.ko"));
    request.kernel_release = "6.12.9+bpo-cloud-amd64";
    CHECK(refusal(request) ==
          kernel.path("v") +
              ": has the modules of Linux 6.1.0-9-amd64, and the kernel is 6.12.9+bpo-cloud-amd64 "
              "(--modules auto looks for a kernel's own)");
    // A module that names no release is accepted.
    kernel.file("v/one.ko", module_with("license=GPL\0"s));
    CHECK(has_entry(kernel.packed(request), ".mayfly/modules/one.ko"));
}

TEST_CASE("a module unknown to depmod is reported, with the remedy") {
    const Kernel kernel;
    kernel.add_version("b/lib/modules/6.12");
    kernel.file("b/lib/modules/6.12/extra/virtio-blk.ko.xz", "anything");
    CHECK(refusal(kernel.request("b", {"one", "virtio_blk"})) ==
          kernel.path("b/lib/modules/6.12") +
              ": extra/virtio-blk.ko.xz lies there, but modules.dep does not name it (depmod -b " +
              kernel.path("b") + " 6.12)");
    kernel.add_version("6.13");
    kernel.file("6.13/two.ko", "anything");
    CHECK(refusal(kernel.request("6.13", {"two"})) ==
          kernel.path("6.13") +
              ": two.ko lies there, but modules.dep does not name it (depmod -b DIR 6.13, where "
              "DIR/lib/modules/6.13 is this directory)");
}

TEST_CASE("a module or a list that will be written is not packed") {
    const Kernel kernel;
    kernel.add_version("v");
    for (const std::string name : {"v/modules.dep", "v/kernel/one.ko"}) {
        OutputFiles outputs;
        const std::optional<FileIdentity> identity = FileIdentity::of_name(kernel.path(name));
        REQUIRE(identity.has_value());
        outputs.add("--log", "l", *identity);
        InitramfsRequest request = kernel.request("v");
        request.outputs = &outputs;
        CHECK(refusal(request) == kernel.path(name) +
                                      " and --log l are one file "
                                      "(--log would destroy it: give it a file of its own)");
        CHECK(outputs.was_refused("--log"));
        CHECK_FALSE(outputs.was_refused("--junit"));
    }
}

TEST_CASE("a missing module is named with the directory") {
    const Kernel kernel;
    kernel.add_version("v");
    CHECK(refusal(kernel.request("v", {"virtio_blk"})) ==
          kernel.path("v") +
              ": the kernel module virtio_blk is neither in the directory nor built into the kernel");
    InitramfsRequest request = kernel.request("v");
    request.modules = "";
    CHECK(refusal(request) == "the kernel module one is needed, but the boot has no directory of modules");
}

TEST_CASE("an optional module is packed where it exists, and may fail in init") {
    const Kernel kernel;
    kernel.add_version("v");
    InitramfsRequest request = kernel.request("v", {});
    request.optional_modules = {"two"};
    CHECK_FALSE(has_entry(kernel.packed(request), ".mayfly/modules/one.ko"));
    request.optional_modules = {"two", "one"};
    const auto entries = kernel.packed(request);
    CHECK(has_entry(entries, ".mayfly/modules/one.ko"));
    const std::string field = std::string("\0o/.mayfly/modules/one.ko", 25) + '\0';
    CHECK(entry(entries, ".mayfly/job").content.find(field) != std::string::npos);
    // Also where depmod has not been.
    kernel.file("u/kernel/one.ko", module_with("license=GPL\0"s));
    InitramfsRequest unlisted = kernel.request("u", {});
    unlisted.optional_modules = {"two", "one"};
    CHECK(has_entry(kernel.packed(unlisted), ".mayfly/modules/one.ko"));
}

TEST_CASE("a module's file that is damaged is refused by name") {
    const Kernel kernel;
    kernel.add_version("v");
    const auto why = [&](const std::string& content) {
        kernel.file("v/kernel/one.ko", content);
        const std::string message = refusal(kernel.request("v"));
        const std::string start = kernel.path("v") + "/kernel/one.ko: ";
        REQUIRE(message.substr(0, start.size()) == start);
        return message.substr(start.size());
    };
    CHECK(why("") == "is not a kernel module");
    CHECK(why("just some text") == "is not a kernel module: neither ELF nor compressed");
    const std::string packed = to_text(pack_xz(to_bytes(module_text("x"))));
    CHECK(why(packed.substr(0, packed.size() / 2)) == "cannot unpack xz: the data is truncated");
    CHECK(why(to_text(pack_gzip(to_bytes("no module at all")))) ==
          "is not a kernel module: it unpacks to a file that is not ELF");
    CHECK(why("BZh91AY").find("is not a kernel module") != std::string::npos);
    CHECK(why("BZh91AY&SY") ==
          "bzip2 compression is not supported (rebuild the kernel with gzip, xz, lzma, lz4 or zstd, or boot "
          "its "
          "vmlinux)");
    REQUIRE(::remove(kernel.path("v/kernel/one.ko").c_str()) == 0);
    CHECK(refusal(kernel.request("v")) ==
          "open " + kernel.path("v") + "/kernel/one.ko: No such file or directory");
}

TEST_CASE("nothing outside of the directory of modules is opened") {
    const Kernel kernel;
    kernel.file("secret.ko", module_text("secret"));
    kernel.file("v/modules.dep",
                "kernel/one.ko:\nkernel/two.ko:\nkernel/three.ko: kernel/four.ko\nkernel/four.ko:\n");
    const auto why = [&](const std::string& name) {
        const std::string message = refusal(kernel.request("v", {name}));
        const std::string start = kernel.path("v") + "/kernel/" + name + ".ko: ";
        REQUIRE(message.substr(0, start.size()) == start);
        return message.substr(start.size());
    };
    const std::string expected =
        "is a symbolic link that leads out of " + kernel.path("v") + " (put a copy of the file there)";
    kernel.symlink("../../secret.ko", "v/kernel/one.ko");
    CHECK(why("one") == expected);
    kernel.symlink(kernel.path("secret.ko"), "v/kernel/two.ko");
    CHECK(why("two") == expected);
    // Within it links are followed, also those of a directory.
    kernel.file("v/extra/four.ko", module_text("four"));
    kernel.symlink("../extra/four.ko", "v/kernel/four.ko");
    kernel.symlink("./four.ko", "v/kernel/three.ko");
    CHECK(has_entry(kernel.packed(kernel.request("v", {"three"})), ".mayfly/modules/four.ko"));
    // The lists are files like any other, and so are the directories on the way.
    kernel.symlink("../../secret.ko", "v/modules.softdep");
    CHECK(refusal(kernel.request("v", {"three"})) ==
          kernel.path("v") + "/modules.softdep: is a symbolic link that leads out of " + kernel.path("v") +
              " (put a copy of the file there)");
    kernel.add_version("elsewhere/6.12");
    kernel.directory("top/lib");
    kernel.symlink("../../elsewhere", "top/lib/modules");
    CHECK(refusal(kernel.request("top")).find("leads out of " + kernel.path("top")) != std::string::npos);
    // The directory itself is the user's choice.
    kernel.symlink("elsewhere/6.12", "chosen");
    CHECK(has_entry(kernel.packed(kernel.request("chosen")), ".mayfly/modules/one.ko"));
}

TEST_CASE("a kernel with everything built in needs no modules") {
    const Kernel kernel;
    kernel.file("v/modules.dep", "");
    kernel.file("v/modules.builtin", "kernel/one.ko\n");
    CHECK_FALSE(has_entry(kernel.packed(kernel.request("v")), ".mayfly/modules"));
}

// SPDX-License-Identifier: Apache-2.0
#include "firmware/init/live_root.h"

#include <linux/errno.h>
#include <linux/mount.h>

#include "firmware/init/shares.h"
#include "firmware/init/system_call.h"
#include "firmware/init/text.h"

namespace mayfly::init {

namespace {

constexpr const char* kPlace = "/.mayfly/root";
constexpr const char* kLower = "/.mayfly/lower";
constexpr const char* kMemory = "/.mayfly/memory";
constexpr const char* kUpper = "/.mayfly/memory/upper";
constexpr const char* kWork = "/.mayfly/memory/work";
/// Otherwise renaming a directory of the host would fail with EXDEV.
constexpr const char* kLayers =
    "lowerdir=/.mayfly/lower,upperdir=/.mayfly/memory/upper,workdir=/.mayfly/memory/work,redirect_dir=on";

long mount(const char* source, const char* place, const char* type, u64 flags, const char* options) {
    return system_call(__NR_mount, address(source), address(place), address(type), flags, address(options));
}

void make_directory(const char* path, u64 mode) {
    system_call(__NR_mkdir, address(path), mode);
    system_call(__NR_chmod, address(path), mode);
}

long mount_overlay() {
    make_directory(kLower, 0755);
    if (const long result = mount_device(kRootTag.data(), kLower, MS_RDONLY); result != 0) return result;
    make_directory(kMemory, 0755);
    long result = mount("tmpfs", kMemory, "tmpfs", 0, "mode=0755");
    make_directory(kUpper, 0755);  // its mode and owner are the root's
    make_directory(kWork, 0755);
    if (result == 0) result = mount("overlay", kPlace, "overlay", 0, kLayers);
    if (result != 0)
        say("cannot put a layer in memory over the host's directory: ",
            result == -ENODEV ? "the kernel has no overlay, which comes with mayfly's --modules"
                              : error_name(-result));
    return result;
}

/// Into the working directory, also where the kernel lacks the file system and `path` is a plain directory.
long bind(const char* path, bool is_made) {
    const char* const here = path + 1;
    if (is_made) system_call(__NR_mkdir, address(here), 0755);
    const long result = mount(path, here, "", MS_BIND | MS_REC, "");
    if (result != 0) say("cannot mount ", path, " in the live root: ", error_name(-result));
    return result;
}

}  // namespace

long enter_live_root(JobRoot root) {
    const bool is_overlay = root == JobRoot::Overlay;
    make_directory(kPlace, 0755);
    long result = is_overlay ? mount_overlay() : mount_device(kRootTag.data(), kPlace, 0);
    if (result == 0) result = system_call(__NR_chdir, address(kPlace));
    for (const char* path : {"/proc", "/sys", "/dev"})
        if (result == 0) result = bind(path, is_overlay);
    if (result != 0) return result;
    const char* const ours = kOursBesideRoot.data() + 1;
    system_call(__NR_mkdir, address(ours), 0755);
    result = mount("/.mayfly", ours, "", MS_BIND, "");
    // As switch_root(8) does: the kernel's initramfs cannot be replaced by a mount, only covered.
    if (result == 0) result = mount(".", "/", "", MS_MOVE, "");
    if (result == 0) result = system_call(__NR_chroot, address("."));
    if (result == 0) result = system_call(__NR_chdir, address("/"));
    if (result != 0) {
        say("cannot enter the live root: ", error_name(-result));
        return result;
    }
    // The minimal directories of every root.
    if (is_overlay) {
        if (system_call(__NR_mkdir, address("/tmp"), 0) == 0) make_directory("/tmp", 01777);
        system_call(__NR_mkdir, address("/run"), 0755);
    }
    return 0;
}

}  // namespace mayfly::init

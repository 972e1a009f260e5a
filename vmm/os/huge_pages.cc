// SPDX-License-Identifier: Apache-2.0
#include "vmm/os/huge_pages.h"

#include "vmm/os/text_file.h"

namespace mayfly {

HugePages host_huge_pages() {
    const std::string text = read_text_file(kHugePagesSetting, 128);
    const std::string_view chosen = chosen_word(text);
    if (chosen == "always") return HugePages::Always;
    return chosen == "madvise" ? HugePages::OnAdvice : HugePages::Never;
}

}  // namespace mayfly

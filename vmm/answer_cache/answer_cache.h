// SPDX-License-Identifier: Apache-2.0
// AnswerCache: KVM's answers, kept from one boot of a guest to the next: asking takes a quarter of a
// millisecond.
//
// An entry holds as long as its key: the boot of the host, the open /dev/kvm, the vendor's module of KVM, and
// this build of mayfly. Where one of these cannot be told there is no cache. A directory or an entry that
// others could have written, and whatever is damaged, is not used. Who uses an entry compares it with KVM's
// word, unless somebody did so within the last second, and forgets one that is wrong.
// Thread: one at a time; several processes may use one directory.
#pragma once

#include <memory>
#include <string>

#include "vmm/kvm/kvm_answers.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

/// Where the parts of a key and the entry are.
struct AnswerPlaces {
    std::string directory;
    std::string boot_id = "/proc/sys/kernel/random/boot_id";
    std::string modules = "/sys/module";
};

class AnswerCache {
  public:
    /// Looks for the entry that fits `device`, which is /dev/kvm. Eight system calls.
    AnswerCache(AnswerPlaces places, const UniqueFd& device);

    /// Null where KVM has to be asked.
    [[nodiscard]] const KvmAnswers* answers() const { return answers_.get(); }
    /// There were answers, and nobody has compared them with KVM's within the last second.
    [[nodiscard]] bool is_due() const { return is_due_; }
    /// Why there are none, for -v; empty where there is simply no entry.
    [[nodiscard]] const std::string& why() const { return why_; }

    /// Has `answers`, which KVM gave just now, and keeps them for others. \returns whether it could.
    bool store(std::unique_ptr<KvmAnswers> answers, const UniqueFd& device);
    /// Notes that KVM's word is the entry's. Takes only the descriptor that is open.
    void confirm() const;
    /// Nobody finds the entry any more. Takes only the descriptor that is open.
    void forget() const;

  private:
    [[nodiscard]] bool has_directory();
    void read_entry(const UniqueFd& device);
    [[nodiscard]] bool write_entry(const UniqueFd& device);

    AnswerPlaces places_;
    UniqueFd entry_;
    std::unique_ptr<KvmAnswers> answers_;
    bool is_due_ = false;
    std::string why_;
};

}  // namespace mayfly

// SPDX-License-Identifier: Apache-2.0
// AnswerCache: KVM's answers, kept from one boot of a guest to the next: asking takes a quarter of a
// millisecond.
//
// An entry holds as long as its key: the boot of the host, the open /dev/kvm, the vendor's module of KVM, and
// this build of mayfly. Where one of these is unknown, nothing is cached. A directory or an entry that others
// could have written, or that is damaged, is not used. A boot that uses an entry compares it with KVM's
// answers, unless another boot did so within the last second, and removes a wrong entry.
// Thread: one at a time; several processes may use one directory.
#pragma once

#include <memory>
#include <string>

#include "vmm/kvm/kvm_answers.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

/// The paths of the key's parts and of the entry.
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
    /// Answers were found, and no boot has compared them with KVM's within the last second.
    [[nodiscard]] bool is_due() const { return is_due_; }
    /// Why the answers are missing, for -v; empty where simply no entry exists.
    [[nodiscard]] const std::string& why() const { return why_; }

    /// Takes `answers`, which KVM gave just now, and keeps them for other boots. \returns whether it could.
    bool store(std::unique_ptr<KvmAnswers> answers, const UniqueFd& device);
    /// Notes that KVM's answers are the entry's. Uses only the open descriptor.
    void confirm() const;
    /// Makes the entry invalid for every boot. Uses only the open descriptor.
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

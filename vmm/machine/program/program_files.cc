// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/program/program_files.h"

#include "firmware/init/report.h"
#include "vmm/text/log.h"

namespace mayfly {

Result<void> ProgramFiles::open() {
    if (copies_.empty()) return {};
    receiver_ = TRY(FileReceiver::open(copies_, [this] { return context_.stop.is_abrupt(); }));
    records_ = std::make_unique<RecordReader>(static_cast<u32>(copies_.size()), *receiver_);
    return {};
}

bool ProgramFiles::take(std::span<const std::byte> bytes) {
    if (!has_begun_.exchange(true, std::memory_order_acq_rel)) hooks_.on_begin();
    const Result<void> fed = records_->feed(bytes);
    if (fed) return receiver_->wants_more();
    protocol_error_ = fed.error().message();
    context_.stop.end({EndKind::HostError, 0, protocol_error_});
    return false;
}

Ending ProgramFiles::judged(Ending ending) const {
    if (copies_.empty()) return ending;
    if (!protocol_error_.empty()) return {EndKind::HostError, 0, protocol_error_};
    const bool has_failed = receiver_->has_failed();
    const bool is_whole = records_->has_ended();
    const std::optional<InitReport> report = ending.kind == EndKind::ProgramEnded
                                                 ? decode_init_report(static_cast<u32>(ending.value))
                                                 : std::nullopt;
    if (!report || report->kind == InitReport::Kind::InitFailed) {
        if (!is_whole && !has_failed)
            log::warning(records_->has_begun()
                             ? "--copy-out: not everything is copied: the guest ended meanwhile"
                             : "--copy-out: nothing is copied: the guest ended before its program did");
        return ending;
    }
    if (!is_whole && receiver_->wants_more())
        return {EndKind::HostError, 0, "the guest's init did not send all files of --copy-out"};
    // The failure was reported. The program's own failure matters more than that of its files.
    const bool has_succeeded = report->kind == InitReport::Kind::Exited && report->value == 0;
    if (has_failed && has_succeeded)
        return {EndKind::HostError, 0, "the program succeeded, but not all of its files were copied out"};
    return ending;
}

}  // namespace mayfly

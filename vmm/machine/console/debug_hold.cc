// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/console/debug_hold.h"

#include <algorithm>

namespace mayfly {

void DebugHold::put_serial(u8 byte) {
    if (byte != '\r') {
        if (printed_.size() >= (has_begun_ ? kHeldMax : kHistoryMax)) {
            const std::size_t half = printed_.size() / 2;
            printed_.erase(0, half);
            if (place_ != kNowhere && place_ < half) agreed_ = matched_ = 0;
            if (place_ != kNowhere) place_ -= std::min(place_, half);
            joined_ -= std::min(joined_, half);
        }
        printed_ += static_cast<char>(byte);
        if (byte == '\n') printed_ns_ = clock_();
        compare();
        // The line continues differently. In the middle of a line that waits for its end.
        if (place_ == kNowhere && !is_line_begun_) show();
        is_line_begun_ = byte != '\n';
    }
    shown_.put(byte);
    if (byte == '\n' && place_ == kNowhere) show();
}

void DebugHold::put_debug(u8 byte) {
    has_begun_ = true;
    if (held_.empty()) {
        since_ns_ = clock_();
        forget_the_old();
        joined_ = printed_.size();
        place_ = agreed_ = matched_ = 0;
    }
    held_ += static_cast<char>(byte);
    compare();
    if (held_.size() >= kHeldMax) give_up();
}

void DebugHold::forget_the_old() {
    if (since_ns_ < printed_ns_ + kHoldNs) return;
    const std::size_t last = printed_.rfind('\n');
    if (last != std::string::npos) printed_.erase(0, last + 1);
}

void DebugHold::compare() {
    while (place_ != kNowhere && agreed_ < held_.size()) {
        if (held_[agreed_] == '\r') {
            ++agreed_;
        } else if (place_ + matched_ == printed_.size()) {
            return;
        } else if (held_[agreed_] != printed_[place_ + matched_]) {
            move_on();
        } else {
            ++matched_;
            if (held_[agreed_++] != '\n') continue;
            // A whole line is decided.
            held_.erase(0, agreed_);
            printed_.erase(0, place_ + matched_);
            place_ = agreed_ = matched_ = joined_ = 0;
            since_ns_ = clock_();
        }
    }
}

void DebugHold::move_on() {
    const std::size_t end = printed_.find('\n', place_);
    const std::size_t line = end == std::string::npos ? kNowhere : end + 1;
    place_ = joined_ > place_ && joined_ < line ? joined_ : line;
    agreed_ = matched_ = 0;
}

std::optional<u64> DebugHold::held_since_ns() const {
    return held_.empty() ? std::nullopt : std::optional(since_ns_);
}

void DebugHold::give_up() {
    if (place_ != kNowhere) {
        held_.erase(0, agreed_);
        printed_.erase(0, place_ + matched_);
    }
    show();
}

void DebugHold::show() {
    for (const char byte : held_) shown_.put(static_cast<u8>(byte));
    held_.clear();
    place_ = agreed_ = matched_ = joined_ = 0;
}

}  // namespace mayfly

// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/queue/queue_format.h"

namespace mayfly {

std::string_view to_string(WhyBroken why) {
    switch (why) {
        case WhyBroken::No: return {};
        case WhyBroken::AvailIdxTooFar: return "avail.idx is further ahead than the queue's size";
        case WhyBroken::AvailIdxBackwards: return "avail.idx went backwards";
        case WhyBroken::IndexTooLarge: return "a descriptor's index is not below the queue's size";
        case WhyBroken::IndirectHasNext: return "an indirect descriptor has a next one";
        case WhyBroken::ChainTooLong: return "a chain is longer than the queue's size";
        case WhyBroken::TableOutside: return "an indirect table lies outside guest memory";
        case WhyBroken::TableIndexTooLarge: return "an index is not below an indirect table's size";
        case WhyBroken::TableNested: return "an indirect table has an indirect descriptor";
        case WhyBroken::IndirectInList: return "an indirect descriptor is part of a list";
        case WhyBroken::TooManyAvailable: return "more descriptors are available than the queue's size";
        case WhyBroken::EmptyDescriptor: return "a descriptor has length 0";
        case WhyBroken::TooManyParts: return "a chain has more parts than this device takes";
        case WhyBroken::DescriptorOutside: return "a descriptor points outside guest memory";
        case WhyBroken::ReadableAfterWritable:
            return "a device-readable descriptor follows a device-writable one";
        case WhyBroken::IndirectNotNegotiated: return "an indirect descriptor was not negotiated";
        case WhyBroken::TableEmpty: return "an indirect table is empty";
        case WhyBroken::TableLength: return "an indirect table's length is not a multiple of 16";
        case WhyBroken::TableTooLong: return "an indirect table has more than 65536 entries";
    }
    return {};
}

}  // namespace mayfly

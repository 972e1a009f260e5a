// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/transport/pci_transport.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "devices/pci/pci_spec.h"
#include "devices/virtio/transport/feature_words.h"
#include "devices/virtio/transport/pci_spec.h"
#include "devices/virtio/virtio_spec.h"
#include "vmm/error/verify.h"

namespace mayfly {

namespace {

constexpr u8 kLegacyBar = 0;
constexpr u8 kConfigBar = 2;
constexpr u8 kTrapBar = 4;

// The config page.
constexpr u32 kCommon = 0;
constexpr u32 kDeviceConfig = 0x100;
constexpr u32 kDeviceConfigBytes = 0x700;
constexpr u32 kTable = 0x800;
static_assert(kTable + Msix::table_bytes(PciTransport::kVectorsMax) == PciTransport::kPageBytes);

// The page that traps.
constexpr u32 kIsr = 0;
constexpr u32 kPba = 0x100;
constexpr u32 kNotify = 0x800;
constexpr u32 kNotifyMultiplier = 4;
constexpr u32 kQueuesMax = (PciTransport::kPageBytes - kNotify) / kNotifyMultiplier;

// Class codes: PCI Code and ID Assignment Specification, "Class Codes".
constexpr u32 kClassStorage = 0x01'00'00;
constexpr u32 kClassOtherStorage = 0x01'80'00;
constexpr u32 kClassNetwork = 0x02'00'00;
constexpr u32 kClassCommunication = 0x07'80'00;
constexpr u32 kClassOther = 0xff'00'00;

u32 class_code(u16 device_id) {
    switch (device_id) {
        case virtio::ID_NET: return kClassNetwork;
        case virtio::ID_BLOCK: return kClassStorage;
        case virtio::ID_FS: return kClassOtherStorage;
        case virtio::ID_CONSOLE: return kClassCommunication;
        default: return kClassOther;
    }
}

/// virtio 1.2 §4.1.2 "PCI Device Discovery": the transitional ids do not follow the types.
u16 transitional_id(u16 device_id) {
    switch (device_id) {
        case virtio::ID_NET: return 0x1000;
        case virtio::ID_BLOCK: return 0x1001;
        case virtio::ID_CONSOLE: return 0x1003;
        case virtio::ID_ENTROPY: return 0x1005;
        // no guest: these are all the types that device_plan.cc gives a legacy port.
        default: UNREACHABLE();
    }
}

/// struct virtio_pci_cap behind its two header bytes, and what follows in some types.
struct [[gnu::packed]] CapabilityBody {
    u8 length;
    u8 type;
    u8 bar;
    u8 id;
    u16 padding;
    u32 offset;
    u32 size_bytes;
    u32 extra;  // notify_off_multiplier, or pci_cfg_data
};
constexpr std::size_t kBodyBytes = sizeof(CapabilityBody) - sizeof(u32);
// Offsets from the capability's start, its header included.
constexpr u16 kCapabilityBar = 4;
constexpr u16 kCapabilityOffset = 8;
constexpr u16 kCapabilityLength = 12;
constexpr u16 kCapabilityData = 16;

u16 vector_count(const VirtioDevice& device) {
    // One a queue and one for the configuration.
    return static_cast<u16>(
        std::min<std::size_t>(device.queue_sizes().size() + 1, PciTransport::kVectorsMax));
}

}  // namespace

PciFunction::Options PciTransport::function_options(const VirtioDevice& device,
                                                    const PciTransportOptions& options) {
    const bool is_transitional = options.legacy_port != 0;
    PciFunction::Options function;
    function.vendor_id = virtio_pci::VENDOR_ID;
    function.device_id = is_transitional ? transitional_id(device.device_id())
                                         : static_cast<u16>(virtio_pci::DEVICE_ID_BASE + device.device_id());
    function.revision_id = is_transitional ? 0 : 1;
    function.class_code = class_code(device.device_id());
    function.subsystem_vendor_id = virtio_pci::VENDOR_ID;
    function.subsystem_id = is_transitional
                                ? device.device_id()
                                : static_cast<u16>(virtio_pci::DEVICE_ID_BASE + device.device_id());
    function.command = pci::COMMAND_MEMORY_SPACE | pci::COMMAND_BUS_MASTER;
    if (options.interrupt_line != 0) {
        function.interrupt_pin = 1;
        function.interrupt_line = options.interrupt_line;
    }
    if (is_transitional) {
        function.command |= pci::COMMAND_IO_SPACE;
        function.bars[kLegacyBar] = {BarKind::Io, kLegacyBytes, options.legacy_port};
    }
    function.bars[kConfigBar] = {BarKind::Memory32, kPageBytes, options.config_address};
    function.bars[kTrapBar] = {BarKind::Memory32, kPageBytes, options.trap_address};
    function.config_bar = kConfigBar;
    return function;
}

PciTransport::PciTransport(VirtioCore& core, ConfigPage image, MsiPort& msi, IrqLine* intx,
                           const PciTransportOptions& options)
    : core_(core),
      msi_(msi),
      queue_vectors_(core.queue_count(), virtio_pci::NO_VECTOR),
      first_table_(Msix::table_bytes(vector_count(core.device()))),
      has_pin_(options.interrupt_line != 0),
      function_(image, function_options(core.device(), options), this, intx),
      msix_({.vector_count = vector_count(core.device()),
             .table_bar = kConfigBar,
             .table_offset_bytes = kTable,
             .pba_bar = kTrapBar,
             .pba_offset_bytes = kPba},
            first_table_, function_, *this),
      legacy_(*this) {
    // no guest: a device's shape is fixed before the guest runs.
    VERIFY(core.queue_count() <= kQueuesMax && core.device().config().size() <= kDeviceConfigBytes);
    core.set_transport(*this);
    add_capabilities();
}

void PciTransport::add_capabilities() {
    add_virtio_capability(virtio_pci::CAP_COMMON_CFG, kConfigBar, kCommon, virtio_pci::COMMON_CFG_BYTES);
    add_virtio_capability(virtio_pci::CAP_NOTIFY_CFG, kTrapBar, kNotify,
                          core_.queue_count() * kNotifyMultiplier);
    add_virtio_capability(virtio_pci::CAP_ISR_CFG, kTrapBar, kIsr, 1);
    // virtio 1.2 §4.1.4.6.1 "Device Requirements: Device-specific configuration": at least one byte long
    // where it is there.
    const std::size_t config_bytes = core_.device().config().size();
    if (config_bytes != 0)
        add_virtio_capability(virtio_pci::CAP_DEVICE_CFG, kConfigBar, kDeviceConfig,
                              static_cast<u32>(config_bytes));
    add_virtio_capability(virtio_pci::CAP_PCI_CFG, 0, 0, 0);
}

void PciTransport::add_virtio_capability(u8 type, u8 bar, u32 offset, u32 size_bytes) {
    const bool has_extra = type == virtio_pci::CAP_NOTIFY_CFG || type == virtio_pci::CAP_PCI_CFG;
    const std::size_t body_bytes = kBodyBytes + (has_extra ? sizeof(u32) : 0);
    const CapabilityBody body{.length = static_cast<u8>(body_bytes + pci::CAPABILITY_HEADER_BYTES),
                              .type = type,
                              .bar = bar,
                              .id = 0,
                              .padding = 0,
                              .offset = offset,
                              .size_bytes = size_bytes,
                              .extra = type == virtio_pci::CAP_NOTIFY_CFG ? kNotifyMultiplier : 0};
    std::array<u8, sizeof body> bytes;
    std::memcpy(bytes.data(), &body, sizeof body);
    std::array<u8, sizeof body> mask{};
    if (type == virtio_pci::CAP_PCI_CFG) {
        // virtio 1.2 §4.1.4.9 "PCI configuration access capability": these four are the
        // driver's.
        const CapabilityBody writable{0, 0, 0xff, 0, 0, ~u32{0}, ~u32{0}, ~u32{0}};
        std::memcpy(mask.data(), &writable, sizeof writable);
    }
    const u8 at = function_.add_capability(pci::CAP_ID_VENDOR_SPECIFIC, std::span(bytes).first(body_bytes),
                                           std::span(mask).first(body_bytes));
    if (type != virtio_pci::CAP_PCI_CFG) return;
    access_capability_ = at;
    function_.intercept_reads(static_cast<u16>(at + kCapabilityData), sizeof(u32));
}

// --- BARs ---

u64 PciTransport::bar_read(u8 bar, IoAccess at) {
    const Lock guard(core_.mutex());
    core_.count_return();
    if (bar == kLegacyBar) return legacy_.read(at);
    if (bar == kConfigBar) return load_bytes(ConfigPage(page_, kPageBytes), at.offset_bytes, at.size_bytes);
    return live_read(at, true);
}

u64 PciTransport::live_read(IoAccess at, bool has_side_effects) {
    if (at.offset_bytes == kIsr) return has_side_effects ? read_isr() : state_.isr;
    if (at.offset_bytes >= kPba && at.offset_bytes < kNotify)
        return msix_.pba_read({at.offset_bytes - kPba, at.size_bytes});
    return 0;
}

void PciTransport::drive_pin() { function_.set_intx(state_.isr != 0 && !msix_.is_enabled()); }

u8 PciTransport::read_isr() {
    const u8 isr = state_.isr;
    state_.isr = 0;
    drive_pin();
    return isr;
}

void PciTransport::bar_write(u8 bar, IoAccess at, u64 value) {
    const Lock lock(core_.mutex());
    core_.count_return();
    if (bar == kLegacyBar) return legacy_.write(at, value);
    if (bar == kTrapBar) {
        if (at.offset_bytes >= kNotify && at.offset_bytes % kNotifyMultiplier == 0)
            core_.notify(static_cast<u32>(at.offset_bytes - kNotify) / kNotifyMultiplier);
        return;
    }
    if (at.offset_bytes >= kTable) return msix_.table_write({at.offset_bytes - kTable, at.size_bytes}, value);
    if (at.offset_bytes >= kDeviceConfig) {
        core_.write_config(static_cast<u32>(at.offset_bytes - kDeviceConfig),
                           std::as_bytes(std::span(&value, 1)).first(at.size_bytes));
        return show_device_config();
    }
    // virtio 1.2 §4.1.3.1 "Driver Requirements: PCI Device Layout": fields are accessed at their own width,
    // 64-bit ones as two halves; we take the whole as well.
    if (at.offset_bytes % std::min<u8>(at.size_bytes, 4) != 0) return;
    write_common(at.offset_bytes, at.size_bytes, value);
    show_common();
}

void PciTransport::write_common(u64 offset_bytes, u8 size_bytes, u64 value) {
    const u32 word = static_cast<u32>(value);
    const bool is_dword = size_bytes == 4;
    switch (offset_bytes) {
        case virtio_pci::device_feature_select:
            if (is_dword) state_.device_feature_select = word;
            return;
        case virtio_pci::driver_feature_select:
            if (is_dword) state_.driver_feature_select = word;
            return;
        case virtio_pci::driver_feature:
            if (is_dword)
                core_.set_driver_features(
                    with_feature_word(core_.state().driver_features, state_.driver_feature_select, word));
            return;
        case virtio_pci::config_msix_vector:
            if (size_bytes == 2) state_.config_vector = vector_for(value);
            return;
        case virtio_pci::device_status:
            if (size_bytes == 1) set_status(static_cast<u8>(value));
            return;
        case virtio_pci::queue_select:
            if (size_bytes == 2) state_.queue_select = static_cast<u16>(value);
            return;
        default: return write_queue_field(offset_bytes, size_bytes, value);
    }
}

void PciTransport::set_status(u8 status) {
    if (!core_.write_status(status) || status != 0) return;
    state_ = {};
    std::fill(queue_vectors_.begin(), queue_vectors_.end(), virtio_pci::NO_VECTOR);
    msix_.clear_pending();
    function_.set_intx(false);
    show_common();
    show_device_config();
}

u16 PciTransport::vector_for(u64 value) const {
    // virtio 1.2 §4.1.5.1.2.1 "Device Requirements: MSI-X Vector Configuration": a vector that cannot be
    // mapped reads NO_VECTOR.
    return value < msix_.vector_count() ? static_cast<u16>(value) : virtio_pci::NO_VECTOR;
}

void PciTransport::write_queue_field(u64 offset_bytes, u8 size_bytes, u64 value) {
    if (state_.queue_select >= core_.queue_count()) return;
    if (offset_bytes == virtio_pci::queue_msix_vector && size_bytes == 2) {
        queue_vectors_[state_.queue_select] = vector_for(value);
        return;
    }
    VirtioCore::QueueState* const queue = core_.configurable_queue(state_.queue_select);
    if (queue == nullptr) return;
    const auto written = [&](u64 address, u64 field) {
        if (size_bytes == 8 && offset_bytes == field) return value;
        if (size_bytes != 4) return address;
        return offset_bytes == field ? with_low_half(address, static_cast<u32>(value))
                                     : with_high_half(address, static_cast<u32>(value));
    };
    switch (offset_bytes) {
        case virtio_pci::queue_size:
            // virtio 1.2 §4.1.4.3.1 "Device Requirements: Common configuration structure layout": without
            // packed rings "the device MUST present either a value of 0 or a power of 2". Size 0 fails the
            // start.
            if (size_bytes == 2)
                queue->size =
                    core_.has_packed_rings() || (value & (value - 1)) == 0 ? static_cast<u16>(value) : u16{0};
            return;
        case virtio_pci::queue_enable:
            // virtio 1.2 §4.1.4.3.2 "Driver Requirements": a driver only ever writes 1.
            if (size_bytes == 2 && value == 1) queue->is_enabled = true;
            return;
        case virtio_pci::queue_desc:
        case virtio_pci::queue_desc + virtio_pci::HIGH_HALF:
            queue->descriptors = written(queue->descriptors, virtio_pci::queue_desc);
            return;
        case virtio_pci::queue_driver:
        case virtio_pci::queue_driver + virtio_pci::HIGH_HALF:
            queue->driver_area = written(queue->driver_area, virtio_pci::queue_driver);
            return;
        case virtio_pci::queue_device:
        case virtio_pci::queue_device + virtio_pci::HIGH_HALF:
            queue->device_area = written(queue->device_area, virtio_pci::queue_device);
            return;
        default: return;
    }
}

// --- the config page ---

void PciTransport::show_common() {
    if (!is_page_shown()) return;
    const ConfigPage page(page_, kPageBytes);
    const bool has_queue = state_.queue_select < core_.queue_count();
    const VirtioCore::QueueState queue =
        has_queue ? core_.queue_state(state_.queue_select) : VirtioCore::QueueState{};
    const u16 vector = has_queue ? queue_vectors_[state_.queue_select] : virtio_pci::NO_VECTOR;
    store_word(page, virtio_pci::device_feature_select, state_.device_feature_select);
    store_word(page, virtio_pci::device_feature,
               feature_word(core_.offered_features(), state_.device_feature_select));
    store_word(page, virtio_pci::driver_feature_select, state_.driver_feature_select);
    store_word(page, virtio_pci::driver_feature,
               feature_word(core_.state().driver_features, state_.driver_feature_select));
    store_word(page, virtio_pci::config_msix_vector, state_.config_vector);
    store_word(page, virtio_pci::num_queues, core_.queue_count());
    store_word(page, virtio_pci::device_status, core_.state().status);
    store_word(page, virtio_pci::config_generation, shown_generation_);
    store_word(page, virtio_pci::queue_select, state_.queue_select);
    store_word(page, virtio_pci::queue_size, queue.size);
    store_word(page, virtio_pci::queue_msix_vector, vector);
    store_word(page, virtio_pci::queue_enable, static_cast<u16>(queue.is_enabled ? 1 : 0));
    store_word(page, virtio_pci::queue_notify_off, has_queue ? state_.queue_select : u16{0});
    store_word(page, virtio_pci::queue_desc, queue.descriptors);
    store_word(page, virtio_pci::queue_driver, queue.driver_area);
    store_word(page, virtio_pci::queue_device, queue.device_area);
}

void PciTransport::show_device_config() {
    if (!is_page_shown()) return;
    const ConfigPage page(page_, kPageBytes);
    const u32 config_bytes = static_cast<u32>(core_.device().config().size());
    // virtio 1.2 §4.1.4.3.1 "Device Requirements: Common configuration structure layout": a generation before
    // and one after. Nobody can keep another vCPU from reading in between, so a word, which holds any field
    // whole, is stored at once: a driver that read it all there sees old fields beside new ones, never half
    // of one, and the notification of the change makes it read again.
    bool is_changing = false;
    for (u32 at = 0; at < config_bytes; at += sizeof(u64)) {
        const u64 word = core_.read_config(at, sizeof(u64));
        if (load_word<u64>(page, kDeviceConfig + at) == word) continue;
        if (!is_changing) store_word(page, virtio_pci::config_generation, ++shown_generation_);
        is_changing = true;
        store_word(page, kDeviceConfig + at, word);
    }
    if (is_changing) store_word(page, virtio_pci::config_generation, ++shown_generation_);
}

void PciTransport::on_config_page_moved(ConfigPage page) {
    const Lock guard(core_.mutex());
    msix_.move_table(page.subspan(kTable, Msix::table_bytes(msix_.vector_count())));
    // Gaps between the structures read as zero wherever the page is.
    std::memset(page.data(), 0, kTable);
    const std::size_t table_end = kTable + Msix::table_bytes(msix_.vector_count());
    std::memset(page.data() + table_end, 0, kPageBytes - table_end);
    page_ = page.data();
    show_common();
    fill_device_config();
}

/// Nothing has changed: a new generation would make the driver read all of it again.
void PciTransport::fill_device_config() {
    const ConfigPage page(page_, kPageBytes);
    for (u32 at = 0; at < core_.device().config().size(); at += sizeof(u64))
        store_word(page, kDeviceConfig + at, core_.read_config(at, sizeof(u64)));
}

void PciTransport::registers_changed() {
    show_device_config();
    show_common();
}

PciTransport::State PciTransport::save() const {
    const Lock guard(core_.mutex());
    return {.registers = state_,
            .shown_generation = shown_generation_,
            .queue_vectors = queue_vectors_,
            .function = function_.save(),
            .msix = msix_.save()};
}

bool PciTransport::restore(const State& state) {
    const Lock guard(core_.mutex());
    constexpr u8 kIsrBits = virtio_pci::ISR_QUEUE | virtio_pci::ISR_CONFIG;
    const auto is_vector = [this](u16 vector) {
        return vector < msix_.vector_count() || vector == virtio_pci::NO_VECTOR;
    };
    if (state.queue_vectors.size() != queue_vectors_.size() || (state.registers.isr & ~kIsrBits) != 0 ||
        !is_vector(state.registers.config_vector) ||
        !std::all_of(state.queue_vectors.begin(), state.queue_vectors.end(), is_vector))
        return false;
    const PciFunction::State before = function_.save();
    if (!function_.restore(state.function)) return false;
    if (!msix_.restore(state.msix)) {
        (void)function_.restore(before);
        return false;
    }
    state_ = state.registers;
    queue_vectors_ = state.queue_vectors;
    shown_generation_ = state.shown_generation;
    drive_pin();
    show_common();
    fill_device_config();
    return true;
}

// --- configuration space ---

void PciTransport::on_decode_changed() {
    const Lock guard(core_.mutex());
    core_.worker().on_doorbells_moved(core_);
}

void PciTransport::on_config_write(u16 offset, u8 size_bytes) {
    {
        const Lock guard(core_.mutex());
        const bool had_msix = msix_.is_enabled();
        msix_.on_config_write(offset, size_bytes);
        if (had_msix != msix_.is_enabled()) drive_pin();
    }
    const unsigned end = unsigned{offset} + size_bytes;
    const unsigned data = unsigned{access_capability_} + kCapabilityData;
    if (end <= unsigned{access_capability_} + kCapabilityBar || offset >= data + sizeof(u32)) return;
    // A guest that reads configuration space as memory finds the value that a trapped read would return,
    // without the side effects of such a read.
    access_through_config_space(offset >= data);
}

void PciTransport::on_config_read(u16 /*offset*/, u8 /*size_bytes*/) {
    const std::optional<ConfigSpaceAccess> access = aimed_access();
    if (access) show_aimed(*access, true);
}

std::optional<PciTransport::ConfigSpaceAccess> PciTransport::aimed_access() const {
    const u16 capability = access_capability_;
    const u8 bar = function_.config8(static_cast<u16>(capability + kCapabilityBar));
    const u32 offset = function_.config32(static_cast<u16>(capability + kCapabilityOffset));
    const u32 size = function_.config32(static_cast<u16>(capability + kCapabilityLength));
    // virtio 1.2 §4.1.4.9 "PCI configuration access capability": 1, 2 or 4 bytes, aligned, inside a BAR.
    if ((size != 1 && size != 2 && size != 4) || offset % size != 0) return std::nullopt;
    if (bar >= pci::BASE_ADDRESSES || offset >= function_.bar(bar).size_bytes) return std::nullopt;
    return ConfigSpaceAccess{bar, {offset, static_cast<u8>(size)}};
}

void PciTransport::access_through_config_space(bool is_write) {
    const std::optional<ConfigSpaceAccess> access = aimed_access();
    if (!access) return;
    if (!is_write) return show_aimed(*access, false);
    const u32 data = function_.config32(static_cast<u16>(access_capability_ + kCapabilityData));
    bar_write(access->bar, access->at, data & all_ones(access->at.size_bytes));
}

void PciTransport::show_aimed(const ConfigSpaceAccess& access, bool has_side_effects) {
    u32 data = 0;
    if (access.bar == kTrapBar) {
        const Lock guard(core_.mutex());
        data = static_cast<u32>(live_read(access.at, has_side_effects));
    } else if (access.bar == kConfigBar) {
        data = static_cast<u32>(bar_read(access.bar, access.at));
    }
    function_.refresh(static_cast<u16>(access_capability_ + kCapabilityData),
                      std::as_bytes(std::span(&data, 1)));
}

DoorbellPlaces PciTransport::doorbells(u16 queue) const {
    DoorbellPlaces places;
    if (const std::optional<u32> base = function_.bar_address(kTrapBar))
        places[0] =
            DoorbellPlace{.address = u64{*base} + kNotify + u64{queue} * kNotifyMultiplier, .match = {}};
    if (const std::optional<u32> port = function_.bar_address(kLegacyBar))
        places[1] = DoorbellPlace{.address = *port + virtio_pci::LEGACY_QUEUE_NOTIFY,
                                  .is_port = true,
                                  .size_bytes = 2,
                                  .match = queue};
    return places;
}

}  // namespace mayfly

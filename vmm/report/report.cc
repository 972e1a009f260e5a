// SPDX-License-Identifier: Apache-2.0
#include "vmm/report/report.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "vmm/os/text_file.h"
#include "vmm/report/apicv.h"
#include "vmm/text/layout.h"

namespace mayfly {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::array kPhases{Phase::Main,         Phase::KvmOpened, Phase::VmCreated, Phase::MemoryMapped,
                             Phase::KernelLoaded, Phase::Irqchip,   Phase::Vcpus,     Phase::FirstRun,
                             Phase::FirstExit,    Phase::Exit};
static_assert(kPhases.size() == kPhaseCount);

struct Event {
    u64 at_ns;
    std::string name;
};

/// Phases and guest marks in the order in which they happened.
std::vector<Event> events(const Timeline& timeline) {
    std::vector<Event> list;
    for (const Phase phase : kPhases) {
        if (timeline.phase_ns(phase) != 0)
            list.push_back({timeline.phase_ns(phase) - timeline.exec_ns(), std::string(to_string(phase))});
    }
    for (const GuestMark& mark : timeline.marks())
        list.push_back({mark.at_ns - timeline.exec_ns(), fmt::format("guest mark {:#x}", mark.value)});
    std::stable_sort(list.begin(), list.end(),
                     [](const Event& a, const Event& b) { return a.at_ns < b.at_ns; });
    return list;
}

std::string_view to_string(ExitSpace space) {
    switch (space) {
        case ExitSpace::PortIn: return "port in";
        case ExitSpace::PortOut: return "port out";
        case ExitSpace::MmioRead: return "mmio read";
        case ExitSpace::MmioWrite: return "mmio write";
    }
    return "";
}

/// Rows in use, the busiest first.
std::vector<AddressCount> busiest(const ExitCounts& counts) {
    std::vector<AddressCount> rows;
    std::copy_if(counts.rows().begin(), counts.rows().end(), std::back_inserter(rows),
                 [](const AddressCount& row) { return row.returns != 0; });
    std::sort(rows.begin(), rows.end(),
              [](const AddressCount& a, const AddressCount& b) { return a.returns > b.returns; });
    return rows;
}

constexpr std::size_t kTableWidth = 52;

std::string count_row(std::string_view what, u64 count, std::size_t columns) {
    return figure_row(what, std::to_string(count), kTableWidth, columns);
}

/// In the unit that suits: each has three decimals.
std::string print_time(u64 ns) {
    const auto exact = static_cast<double>(ns);
    if (ns < 1'000'000) return fmt::format("{:.3f} us", exact / 1e3);
    if (ns < 1'000'000'000) return fmt::format("{:.3f} ms", exact / 1e6);
    return fmt::format("{:.3f} s ", exact / 1e9);
}

Json counters_json(const std::vector<KvmCounter>& counters) {
    Json object = Json::object();
    for (const KvmCounter& counter : counters) object[counter.name] = counter.value;
    return object;
}

/// KVM's counters in one table, vCPUs added up; those that stayed 0 are left out.
std::string counters_table(const StatsReport& report, std::size_t columns) {
    std::vector<KvmCounter> sums = report.vm;
    for (const std::vector<KvmCounter>& vcpu : report.vcpus) {
        for (const KvmCounter& counter : vcpu) {
            const auto same = std::find_if(sums.begin(), sums.end(),
                                           [&](const KvmCounter& sum) { return sum.name == counter.name; });
            if (same == sums.end()) {
                sums.push_back(counter);
            } else {
                same->value += counter.value;
            }
        }
    }
    std::string text;
    for (const KvmCounter& counter : sums) {
        if (counter.value != 0) text += count_row("  " + counter.name, counter.value, columns);
    }
    return text;
}

u64 sum_of(const std::vector<std::vector<KvmCounter>>& vcpus, std::string_view name) {
    u64 sum = 0;
    for (const std::vector<KvmCounter>& vcpu : vcpus) {
        for (const KvmCounter& counter : vcpu) {
            if (counter.name == name) sum += counter.value;
        }
    }
    return sum;
}

Result<std::vector<KvmCounter>> read_counters(Result<UniqueFd> fd) {
    UniqueFd stats_fd = TRY(std::move(fd));
    const KvmStats stats = TRY(KvmStats::open(std::move(stats_fd)));
    return stats.read_all();
}

/// Interrupts that KVM injected because the guest has switched APICv off.
u64 injected_without_apicv(const StatsReport& report) {
    return report.has_apicv && report.is_apicv_off ? sum_of(report.vcpus, "irq_injections") : 0;
}

/// Why KVM injected interrupts although it has APICv; empty where it did not.
std::string apicv_line(const StatsReport& report) {
    const u64 injected = report.has_apicv ? sum_of(report.vcpus, "irq_injections") : 0;
    if (injected == 0) return {};
    return fmt::format("KVM injected {} interrupts although it has APICv: {}", injected,
                       report.is_apicv_off
                           ? "the guest switched that off, by a local APIC at another address or "
                             "an APIC id of its own"
                           : "those of an 8259, those whose delivery met a page fault, or APICv was off "
                             "for a time");
}

}  // namespace

std::string timeline_table(const Timeline& timeline, std::size_t columns) {
    const auto row = [&](std::string_view name, std::string_view at, std::string_view step) {
        // As wide as "999.999 ms", and a gap.
        return figure_row(name, fmt::format("{:>12}{:>12}", at, step), kTableWidth, columns);
    };
    std::string text = row("phase", "since exec", "step");
    u64 before = 0;
    for (const Event& event : events(timeline)) {
        text += row(event.name, print_time(event.at_ns), print_time(event.at_ns - before));
        before = event.at_ns;
    }
    if (timeline.marks_dropped() != 0)
        text += fmt::format("{} more guest marks were not kept\n", timeline.marks_dropped());
    return text;
}

std::string timeline_json(const Timeline& timeline, int exit_status) {
    Json root;
    root["unit"] = "ns since exec";
    root["exec_monotonic_ns"] = timeline.exec_ns();
    Json phases = Json::object();
    for (const Phase phase : kPhases) {
        if (timeline.phase_ns(phase) != 0)
            phases[std::string(mayfly::to_string(phase))] = timeline.phase_ns(phase) - timeline.exec_ns();
    }
    root["phases"] = phases;
    Json marks = Json::array();
    for (const GuestMark& mark : timeline.marks())
        marks.push_back({{"value", mark.value}, {"at", mark.at_ns - timeline.exec_ns()}});
    root["guest_marks"] = marks;
    root["guest_marks_dropped"] = timeline.marks_dropped();
    root["exit_status"] = exit_status;
    return root.dump(2) + "\n";
}

StatsReport collect_stats(const Machine& machine) {
    StatsReport report;
    report.exits = machine.vcpus().exit_counts();
    report.devices = collect_devices(machine.devices());
    report.has_apicv = read_text_file("/sys/module/kvm_intel/parameters/enable_apicv").starts_with('Y');
    Result<std::vector<KvmCounter>> vm = read_counters(machine.vm().stats_fd());
    if (!vm) {
        report.kvm_counters_missing = vm.error().message();
        return report;
    }
    report.vm = std::move(*vm);
    // Every ioctl on a vCPU waits for its KVM_RUN, forever if that never returns.
    if (!machine.have_vcpus_stopped()) {
        report.kvm_counters_missing = "a vCPU does not leave KVM_RUN";
        return report;
    }
    const Vcpus& vcpus = machine.vcpus();
    for (std::size_t i = 0; i < vcpus.count(); ++i) {
        report.vcpus.push_back(read_counters(vcpus[i].stats_fd()).value_or(std::vector<KvmCounter>{}));
        if (report.has_apicv && keeps_apicv_off(vcpus[i])) report.is_apicv_off = true;
    }
    return report;
}

std::string stats_table(const StatsReport& report, std::size_t columns) {
    std::string text = count_row("returns to user space", report.exits.returns(), columns);
    for (u32 reason = 0; reason < ExitCounts::kReasonsMax; ++reason) {
        const u64 count = report.exits.by_reason()[reason];
        if (count != 0) text += count_row(fmt::format("  {}", exit_reason_name(reason)), count, columns);
    }
    for (const AddressCount& row : busiest(report.exits)) {
        text +=
            count_row(fmt::format("    {:<10} {:#x} {} bytes", to_string(row.space), row.address, row.bytes),
                      row.returns, columns);
    }
    if (report.exits.elsewhere() != 0)
        text += count_row("    at other addresses", report.exits.elsewhere(), columns);
    if (report.exits.interrupted() != 0)
        text += count_row("  interrupted by a signal", report.exits.interrupted(), columns);
    text += device_table(report.devices, columns);
    if (!report.devices.devices.empty() && report.kvm_counters_missing.empty())
        text += count_row("  irq_injections (near 0: posted by hardware)",
                          sum_of(report.vcpus, "irq_injections"), columns);
    text += "KVM's own counters\n";
    text += report.kvm_counters_missing.empty()
                ? counters_table(report, columns)
                : wrap_text("  not available: " + report.kvm_counters_missing, columns, 4) + '\n';
    if (const std::string line = apicv_line(report); !line.empty()) text += wrap_text(line, columns) + '\n';
    return text;
}

std::string stats_json(const StatsReport& report) {
    Json root;
    root["returns_to_user_space"] = report.exits.returns();
    Json reasons = Json::object();
    for (u32 reason = 0; reason < ExitCounts::kReasonsMax; ++reason) {
        const u64 count = report.exits.by_reason()[reason];
        if (count != 0) reasons[std::string(exit_reason_name(reason))] = count;
    }
    root["by_reason"] = reasons;
    Json places = Json::array();
    for (const AddressCount& row : busiest(report.exits)) {
        places.push_back({{"space", std::string(to_string(row.space))},
                          {"address", row.address},
                          {"bytes", row.bytes},
                          {"returns", row.returns}});
    }
    root["by_address"] = places;
    root["at_other_addresses"] = report.exits.elsewhere();
    root["interrupted"] = report.exits.interrupted();
    if (!report.devices.devices.empty()) {
        root["virtio"] = device_json(report.devices);
        if (report.kvm_counters_missing.empty())
            root["virtio"]["software_injections"] = sum_of(report.vcpus, "irq_injections");
    }
    root["kvm"]["vm"] = counters_json(report.vm);
    root["kvm"]["vcpus"] = Json::array();
    for (const std::vector<KvmCounter>& vcpu : report.vcpus)
        root["kvm"]["vcpus"].push_back(counters_json(vcpu));
    if (!report.kvm_counters_missing.empty()) root["kvm"]["missing"] = report.kvm_counters_missing;
    root["kvm"]["injected_without_apicv"] = injected_without_apicv(report);
    return root.dump(2) + "\n";
}

}  // namespace mayfly

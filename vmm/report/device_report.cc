// SPDX-License-Identifier: Apache-2.0
#include "vmm/report/device_report.h"

#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "devices/virtio/virtio_spec.h"
#include "vmm/text/layout.h"

namespace mayfly {

namespace {

using Json = nlohmann::ordered_json;

/// virtio 1.2 §5.1.2 "Virtqueues", §5.3.2 "Virtqueues": receive and transmit in turns,
/// then perhaps control. §5.11.2 "Virtqueues": one of high priority, then requests.
std::string queue_name(u16 device_id, u16 queue, u16 queue_count) {
    if (device_id == virtio::ID_FS) return queue == 0 ? "priority" : fmt::format("requests{}", queue - 1);
    const bool has_directions = device_id == virtio::ID_NET || device_id == virtio::ID_CONSOLE;
    if (!has_directions) return fmt::format("requests{}", queue);
    if (queue_count % 2 == 1 && queue + 1 == queue_count) return "control";
    return fmt::format("{}{}", queue % 2 == 0 ? "receive" : "transmit", queue / 2);
}

struct Column {
    std::string_view title;
    u64 (*value)(const QueueReport&);
};

constexpr std::array kColumns{
    Column{"requests", [](const QueueReport& q) { return q.counts.requests; }},
    Column{"bytes", [](const QueueReport& q) { return q.counts.bytes; }},
    Column{"kick:exit", [](const QueueReport& q) { return q.counts.doorbells_trapped; }},
    Column{"kick:event", [](const QueueReport& q) { return q.doorbells_caught; }},
    Column{"irq:asked", [](const QueueReport& q) { return q.interrupts_asked(); }},
    Column{"suppressed", [](const QueueReport& q) { return q.counts.interrupts_suppressed; }},
    Column{"irqfd", [](const QueueReport& q) { return q.counts.interrupts_irqfd; }},
    Column{"signal_msi", [](const QueueReport& q) { return q.counts.interrupts_signal_msi; }},
    Column{"line", [](const QueueReport& q) { return q.counts.interrupts_line; }},
};

/// One queue: what did its work, then its figures.
std::string queue_lines(const GuestDeviceReport& device, const QueueReport& queue, bool is_first,
                        std::size_t columns) {
    std::string head =
        fmt::format("  {} {}: {}", device.name, queue.name, device.is_promoted ? "I/O thread" : "inline");
    if (is_first) head += fmt::format(", {} returns to user space", device.returns);
    std::vector<std::string> figures;
    figures.reserve(kColumns.size());
    for (const Column& column : kColumns)
        figures.push_back(fmt::format("{} {}", column.title, column.value(queue)));
    return wrap_text(head, columns, 4) + '\n' + item_lines(figures, columns, 4);
}

std::string loop_lines(std::string_view whose, const LoopCounts& loop, std::size_t columns) {
    const std::string text = fmt::format(
        "  {}: {} io_uring_enter, {} requests, {} completions, {} sleeps; interrupts: {} by write, {} by "
        "ring; "
        "polling: {} times found work, {} times not",
        whose, loop.enters, loop.submitted, loop.completions, loop.sleeps, loop.signals_written,
        loop.signals_by_ring, loop.polls_hit, loop.polls_missed);
    return wrap_text(text, columns, 4) + '\n';
}

Json loop_json(const LoopCounts& loop) {
    return {{"io_uring_enter", loop.enters},
            {"submitted", loop.submitted},
            {"completions", loop.completions},
            {"turns", loop.turns},
            {"sleeps", loop.sleeps},
            {"polls_hit", loop.polls_hit},
            {"polls_missed", loop.polls_missed},
            {"signals_written", loop.signals_written},
            {"signals_by_ring", loop.signals_by_ring}};
}

bool is_used(const QueueReport& queue) {
    return queue.counts.requests + queue.counts.doorbells_trapped + queue.doorbells_caught != 0;
}

}  // namespace

DeviceReport collect_devices(VirtioDevices& devices) {
    DeviceReport report;
    for (GuestDevice& device : devices.devices()) {
        GuestDeviceReport& row = report.devices.emplace_back();
        row.name = device.plan().name;
        if (IoService* const io = device.own_io())
            if (const LoopCounts* loop = io->loop_counts()) row.own_loop = *loop;
        // An I/O thread that hangs in the host may hold it forever.
        if (!device.core().mutex().try_lock()) {
            row.is_stuck = true;
            continue;
        }
        const Lock lock(device.core().mutex(), std::adopt_lock);
        row.is_promoted = device.worker().is_promoted();
        row.returns = device.core().returns();
        const u16 count = device.core().queue_count();
        for (u16 queue = 0; queue < count; ++queue) {
            row.queues.push_back({.name = queue_name(device.model().device_id(), queue, count),
                                  .counts = device.core().queue(queue).counts,
                                  .doorbells_caught = device.worker().doorbells_caught(queue)});
        }
    }
    report.rewiring = devices.rewiring().counts();
    if (const LoopCounts* loop = devices.io().loop_counts()) report.loop = *loop;
    return report;
}

std::string device_table(const DeviceReport& report, std::size_t columns) {
    if (report.devices.empty()) return {};
    std::string text = "virtio queues\n";
    for (const GuestDeviceReport& device : report.devices) {
        if (device.is_stuck)
            text += wrap_text(fmt::format("  {}: not counted: its work hangs in the host", device.name),
                              columns, 4) +
                    '\n';
        for (const QueueReport& queue : device.queues) {
            const bool is_first = &queue == &device.queues.front();
            if (!is_first && !is_used(queue)) continue;
            text += queue_lines(device, queue, is_first, columns);
        }
    }
    if (report.rewiring.put_off != 0)
        text +=
            wrap_text(fmt::format("  doorbells or interrupts rewritten too often: {} wired anew, {} put off",
                                  report.rewiring.granted, report.rewiring.put_off),
                      columns, 4) +
            '\n';
    if (report.loop) text += loop_lines("I/O thread", *report.loop, columns);
    for (const GuestDeviceReport& device : report.devices)
        if (device.own_loop) text += loop_lines(device.name + "'s I/O thread", *device.own_loop, columns);
    return text;
}

Json device_json(const DeviceReport& report) {
    Json devices = Json::array();
    for (const GuestDeviceReport& device : report.devices) {
        Json queues = Json::array();
        for (const QueueReport& queue : device.queues) {
            queues.push_back({{"name", queue.name},
                              {"requests", queue.counts.requests},
                              {"bytes", queue.counts.bytes},
                              {"doorbells_trapped", queue.counts.doorbells_trapped},
                              {"doorbells_caught", queue.doorbells_caught},
                              {"interrupts_asked", queue.interrupts_asked()},
                              {"interrupts_suppressed", queue.counts.interrupts_suppressed},
                              {"interrupts_pending", queue.counts.interrupts_pending},
                              {"interrupts_sent", queue.interrupts_sent()},
                              {"interrupts_irqfd", queue.counts.interrupts_irqfd},
                              {"interrupts_signal_msi", queue.counts.interrupts_signal_msi},
                              {"interrupts_line", queue.counts.interrupts_line}});
        }
        Json& row = devices.emplace_back(Json{{"name", device.name},
                                              {"work", device.is_stuck      ? "stuck"
                                                       : device.is_promoted ? "thread"
                                                                            : "inline"},
                                              {"returns_to_user_space", device.returns},
                                              {"queues", std::move(queues)}});
        if (device.own_loop) row["io_thread"] = loop_json(*device.own_loop);
    }
    Json root;
    root["devices"] = std::move(devices);
    root["rewiring"] = {{"granted", report.rewiring.granted}, {"put_off", report.rewiring.put_off}};
    if (report.loop) root["io_thread"] = loop_json(*report.loop);
    return root;
}

}  // namespace mayfly

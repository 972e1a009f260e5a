// SPDX-License-Identifier: Apache-2.0
// The JSON document. Times are nanoseconds, memory is KiB. What was not counted is null.
//
//   tool, version 2       what wrote it, and how this layout is called
//   date, title, repeat   when; the `mayfly boot` that was measured; the command that does it again
//   host                  facts about the machine, as text
//   settings              runs, warmup, parallel, timeout_ms
//   columns[]             name, kind ("mayfly", "qemu", "command"), program, command[], parameters{},
//                         prepare, expected_statuses[], status (of the first good run, or null),
//                         failures, failed, given_up, batches_ns (time in which its timed runs happened)
//   summary{quantity}     unit ("ns", "KiB", "count"), columns[]: null, or n, min, p50, p90, p99, max, mean,
//                         stddev (null of one value) and ratio_p50 (to the first column; null where either
//                         has failed); or these as null and missing: why
//   runs[]                column (index), kind ("warm-up", "timed", "bare", "counting"), round, good, end,
//                         status, exec_monotonic_ns, exit_ns, user_ns, system_ns, voluntary_switches,
//                         involuntary_switches, moments{name: ns since exec}; of counting runs
//                         peak_memory_kib and exits; of failed runs stderr
//   exits                 returns_to_user_space, by_reason, by_address of mayfly; kvm_exit and
//                         kvm_userspace_exit are KVM's tracepoints
//   warnings[] (what spoils figures), notes[], interrupted_by (a signal, or 0)
#include <nlohmann/json.hpp>

#include "vmm/bench/results/document.h"

namespace mayfly {

namespace {

using Json = nlohmann::ordered_json;

const char* column_kind(Column::Kind kind) {
    switch (kind) {
        case Column::Kind::Mayfly: return "mayfly";
        case Column::Kind::Qemu: return "qemu";
        case Column::Kind::Command: return "command";
    }
    return "";
}

Json strings(const std::vector<std::string>& list) {
    Json array = Json::array();
    for (const std::string& text : list) array.push_back(text);
    return array;
}

Json counts(const std::vector<NamedCount>& list) {
    Json object = Json::object();
    for (const NamedCount& count : list) object[count.name] = count.value;
    return object;
}

template <typename Value>
Json or_null(const std::optional<Value>& value) {
    return value ? Json(*value) : Json(nullptr);
}

Json cell_json(const Cell& cell) {
    Json object;
    if (!cell.summary && cell.missing.empty()) return object;
    if (!cell.missing.empty()) object["missing"] = cell.missing;
    const Summary summary = cell.summary.value_or(Summary{});
    object["n"] = summary.count;
    const auto add = [&](const char* name, const Json& value) {
        object[name] = cell.summary ? value : Json(nullptr);
    };
    add("min", summary.min);
    add("p50", summary.p50);
    add("p90", summary.p90);
    add("p99", summary.p99);
    add("max", summary.max);
    add("mean", summary.mean);
    add("stddev", or_null(summary.deviation));
    add("ratio_p50", or_null(cell.ratio));
    return object;
}

Json exits_json(const RunCounts& found) {
    Json object = Json::object();
    object["returns_to_user_space"] = nullptr;
    if (found.stats) {
        object["returns_to_user_space"] = found.stats->returns;
        object["by_reason"] = counts(found.stats->reasons);
        object["by_address"] = counts(found.stats->places);
    }
    object["kvm_exit"] = or_null(found.kvm_exits);
    object["kvm_userspace_exit"] = or_null(found.kvm_returns);
    return object;
}

Json run_json(const Run& run) {
    Json object;
    object["column"] = static_cast<u64>(run.column);
    object["kind"] = std::string(kind_name(run.kind));
    object["round"] = static_cast<u64>(run.round);
    object["good"] = run.is_good;
    object["end"] = describe_end(run);
    object["status"] = static_cast<u64>(run.status);
    object["exec_monotonic_ns"] = run.exec_monotonic_ns;
    object["exit_ns"] = run.exit_ns;
    object["user_ns"] = run.user_ns;
    object["system_ns"] = run.system_ns;
    object["voluntary_switches"] = run.waits;
    object["involuntary_switches"] = run.preemptions;
    Json moments = Json::object();
    for (const Moment& moment : run.moments) moments[moment.name] = moment.at_ns;
    object["moments"] = std::move(moments);
    if (run.kind == RunKind::Counting) {
        object["peak_memory_kib"] = run.counts.peak_memory_kib;
        object["exits"] = exits_json(run.counts);
    }
    if (!run.is_good) object["stderr"] = run.error_tail;
    return object;
}

Json column_json(const Document& document, std::size_t index) {
    const ColumnOutcome& outcome = document.result.columns[index];
    const Column& what = document.plan.columns[index];
    Json column;
    column["name"] = what.name;
    column["kind"] = column_kind(what.kind);
    column["program"] = what.program;
    column["command"] = strings(what.arguments);
    Json settings = Json::object();
    for (const Setting& setting : what.settings) settings[setting.name] = setting.value;
    column["parameters"] = std::move(settings);
    column["prepare"] = what.prepare.empty() ? Json(nullptr) : Json(what.prepare);
    Json statuses = Json::array();
    for (const int status : what.successes) statuses.push_back(static_cast<u64>(status));
    column["expected_statuses"] = std::move(statuses);
    column["status"] = nullptr;
    if (outcome.status) column["status"] = static_cast<u64>(*outcome.status);
    column["failures"] = u64{outcome.failures};
    column["failed"] = has_failed(document.result, index);
    column["given_up"] = outcome.is_given_up;
    column["batches_ns"] = outcome.batches_ns;
    return column;
}

}  // namespace

const char* unit_name(Unit unit) {
    switch (unit) {
        case Unit::Nanoseconds: return "ns";
        case Unit::Kibibytes: return "KiB";
        case Unit::Count: return "count";
    }
    return "";
}

std::string bench_json(const Document& document) {
    const BenchPlan& plan = document.plan;
    Json root;
    root["tool"] = kBenchTool;
    root["version"] = kBenchFormat;
    root["date"] = document.date;
    root["title"] = document.title;
    root["repeat"] = document.repeat;
    Json host = Json::object();
    for (const auto& [what, value] : document.host) host[what] = value;
    root["host"] = std::move(host);
    root["settings"]["runs"] = u64{plan.runs};
    root["settings"]["warmup"] = u64{plan.warmup};
    root["settings"]["parallel"] = u64{plan.parallel};
    root["settings"]["timeout_ms"] = plan.timeout_ms;
    Json columns = Json::array();
    for (std::size_t i = 0; i < plan.columns.size(); ++i) columns.push_back(column_json(document, i));
    root["columns"] = std::move(columns);
    Json summary = Json::object();
    for (const Row& row : document.figures.rows) {
        Json cells = Json::array();
        for (const Cell& cell : row.cells) cells.push_back(cell_json(cell));
        summary[row.key]["unit"] = unit_name(row.unit);
        summary[row.key]["columns"] = std::move(cells);
    }
    root["summary"] = std::move(summary);
    Json runs = Json::array();
    for (const Run& run : document.result.runs) runs.push_back(run_json(run));
    root["runs"] = std::move(runs);
    root["warnings"] = strings(document.figures.warnings);
    root["notes"] = strings(document.figures.notes);
    root["interrupted_by"] = static_cast<u64>(document.result.signal);
    // Words of a command line need not be UTF-8.
    return root.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace mayfly

// SPDX-License-Identifier: Apache-2.0
// The CSV document: runs as rows, and the means of each column behind them.
#include <algorithm>

#include <fmt/format.h>

#include "vmm/bench/results/document.h"

namespace mayfly {

namespace {

constexpr std::string_view kHead =
    "column,kind,round,good,end,column_failed,exec_monotonic_ns,exit_ns,user_ns,system_ns,"
    "voluntary_switches,involuntary_switches,peak_memory_kib,returns_to_user_space,kvm_exits,"
    "kvm_userspace_exits";

using Numbers = std::vector<std::optional<u64>>;

/// From exit_ns on.
Numbers numbers_of(const Run& run, const std::vector<std::string>& moments) {
    Numbers numbers{run.exit_ns, run.user_ns, run.system_ns, run.waits, run.preemptions, {}, {}, {}, {}};
    if (run.kind == RunKind::Counting) {
        numbers[5] = run.counts.peak_memory_kib;
        if (run.counts.stats) numbers[6] = run.counts.stats->returns;
        numbers[7] = run.counts.kvm_exits;
        numbers[8] = run.counts.kvm_returns;
    }
    for (const std::string& name : moments) {
        const auto is_named = [&](const Moment& moment) { return moment.name == name; };
        const auto found = std::find_if(run.moments.begin(), run.moments.end(), is_named);
        numbers.push_back(found == run.moments.end() ? std::nullopt : std::optional<u64>(found->at_ns));
    }
    return numbers;
}

/// Of its good runs: counts from counting runs, everything else from timed runs.
std::string mean_rows(const Document& document, std::size_t column, const std::vector<std::string>& moments) {
    constexpr std::size_t kCounted = 5;
    constexpr std::size_t kTimedAgain = 9;
    std::vector<std::vector<u64>> values(kTimedAgain + moments.size());
    for (const Run& run : document.result.runs) {
        if (run.column != column || !run.is_good) continue;
        const Numbers numbers = numbers_of(run, moments);
        for (std::size_t i = 0; i < numbers.size(); ++i) {
            const bool is_counted = i >= kCounted && i < kTimedAgain;
            if (numbers[i] && run.kind == (is_counted ? RunKind::Counting : RunKind::Timed))
                values[i].push_back(*numbers[i]);
        }
    }
    const bool is_failed = has_failed(document.result, column);
    const std::string name = csv_field(document.plan.columns[column].name);
    std::string means = fmt::format("{},mean,,{},,{},", name, is_failed ? 0 : 1, is_failed ? 1 : 0);
    std::string deviations = fmt::format("{},stddev,,{},,{},", name, is_failed ? 0 : 1, is_failed ? 1 : 0);
    for (const std::vector<u64>& list : values) {
        const std::optional<Summary> summary = summarize(list);
        means += summary ? fmt::format(",{:.2f}", summary->mean) : ",";
        deviations += summary && summary->deviation ? fmt::format(",{:.2f}", *summary->deviation) : ",";
    }
    return means + "\r\n" + deviations + "\r\n";
}

}  // namespace

std::string csv_field(std::string_view text) {
    if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
    std::string field = "\"";
    for (const char c : text) {
        if (c == '"') field += '"';
        field += c;
    }
    return field + '"';
}

std::string bench_csv(const Document& document) {
    std::vector<std::string> moments;
    for (const Run& run : document.result.runs) {
        for (const Moment& moment : run.moments) {
            if (std::find(moments.begin(), moments.end(), moment.name) == moments.end())
                moments.push_back(moment.name);
        }
    }
    std::string text(kHead);
    for (const std::string& moment : moments) text += "," + csv_field(moment + " ns");
    text += "\r\n";
    for (const Run& run : document.result.runs) {
        text += fmt::format("{},{},{},{},{},{},{}", csv_field(document.plan.columns[run.column].name),
                            kind_name(run.kind), run.round, run.is_good ? 1 : 0, csv_field(describe_end(run)),
                            has_failed(document.result, run.column) ? 1 : 0, run.exec_monotonic_ns);
        for (const std::optional<u64>& number : numbers_of(run, moments))
            text += number ? fmt::format(",{}", *number) : ",";
        text += "\r\n";
    }
    for (std::size_t column = 0; column < document.plan.columns.size(); ++column)
        text += mean_rows(document, column, moments);
    return text;
}

}  // namespace mayfly

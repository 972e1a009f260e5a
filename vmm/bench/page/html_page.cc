// SPDX-License-Identifier: Apache-2.0
// The page: first the result, then the charts, then every figure, then the facts for trusting and repeating
// it.
#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "vmm/bench/page/html.h"
#include "vmm/bench/results/words.h"

namespace mayfly {

namespace html {

namespace {

constexpr std::size_t kColumnColours = 5;

const Row* find_row(const Document& document, std::string_view key) {
    for (const Row& row : document.figures.rows) {
        if (row.key == key) return &row;
    }
    return nullptr;
}

/// "27.0 x", to the first column; empty without one.
std::string ratio(const Document& document, std::size_t column) {
    const Row* row = find_row(document, "exec_to_exit");
    if (column == 0 || row == nullptr || !row->cells[column].ratio) return {};
    return pretty(print_ratio(*row->cells[column].ratio));
}

std::optional<u64> median(const Document& document, std::string_view key, std::size_t column) {
    const Row* row = find_row(document, key);
    if (row == nullptr || !row->cells[column].summary) return std::nullopt;
    return row->cells[column].summary->p50;
}

std::string time(u64 ns) { return pretty(print_figure(ns, Unit::Nanoseconds)); }

/// The result in two sentences.
std::string lead(const Document& document) {
    const std::optional<u64> exit = median(document, "exec_to_exit", 0);
    if (exit && has_failed(document.result, 0))
        return "<p class=\"lead\">Not every run of the first column succeeded: see the notes below.</p>";
    if (!exit) return "<p class=\"lead\">No run of the first column succeeded: see the notes below.</p>";
    const std::optional<u64> first = median(document, "exec_to_first_instruction", 0);
    std::string text = "<p class=\"lead\">Half of all boots ";
    if (first)
        text += fmt::format("run the guest's first instruction within <strong>{}</strong> of exec and ",
                            time(*first));
    text += fmt::format("have come and gone after <strong>{}</strong>.", time(*exit));
    for (std::size_t column = 1; column < document.plan.columns.size(); ++column) {
        const std::optional<u64> other = median(document, "exec_to_exit", column);
        const std::string name = html_escape(document.plan.columns[column].name);
        const std::string times = ratio(document, column);
        if (has_failed(document.result, column))
            text += fmt::format(" {} <strong>failed</strong>.", name);
        else if (other)
            text += fmt::format(" {} takes <strong>{}</strong>{}.", name, time(*other),
                                times.empty() ? "" : ", " + times + " as long");
    }
    return text + "</p>";
}

std::string card(const Document& document, std::size_t column, u64 longest) {
    std::string html = fmt::format("<div class=\"card {}\">", column_class(column));
    const std::optional<u64> exit = median(document, "exec_to_exit", column);
    const bool is_failed = has_failed(document.result, column);
    const std::string chip = is_failed ? "failed" : ratio(document, column);
    if (!chip.empty()) html += fmt::format("<span class=\"chip\">{}</span>", chip);
    html += fmt::format("<p class=\"name\">{}</p>", html_escape(document.plan.columns[column].name));
    if (!exit) return html + "<b>no result</b><p class=\"dim\">every run failed: see the notes</p></div>";
    const double share = 100.0 * static_cast<double>(*exit) / static_cast<double>(std::max<u64>(longest, 1));
    html += fmt::format(
        "<b>{}</b><p class=\"dim\">exec \u2192 exit, median</p><div class=\"bar\"><i "
        "style=\"width:{:.2f}%\"></i></div>",
        time(*exit), share);
    const std::optional<u64> first = median(document, "exec_to_first_instruction", column);
    html += first ? fmt::format("<p>{} <span class=\"dim\">exec \u2192 first instruction</span></p>",
                                time(*first))
                  : "<p class=\"dim\">first instruction: not visible from outside</p>";
    if (const std::optional<u64> cpu = median(document, "cpu", column))
        html += fmt::format("<p>{} <span class=\"dim\">CPU time</span></p>", time(*cpu));
    if (const std::optional<u64> memory = median(document, "peak_memory_kib", column))
        html += fmt::format("<p>{} <span class=\"dim\">peak memory</span></p>",
                            pretty(print_figure(*memory, Unit::Kibibytes)));
    return html + "</div>";
}

std::string cards(const Document& document) {
    u64 longest = 0;
    for (std::size_t i = 0; i < document.plan.columns.size(); ++i)
        longest = std::max(longest, median(document, "exec_to_exit", i).value_or(0));
    std::string html = "<div class=\"cards\">";
    for (std::size_t i = 0; i < document.plan.columns.size(); ++i) html += card(document, i, longest);
    return html + "</div>";
}

std::string percentile_table(const Document& document) {
    const bool has_ratio = has_ratios(document);
    std::string html =
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">quantity</th><th class=\"l\" "
        "scope=\"col\">of</th>";
    for (const std::string_view head : kTableHeads) html += fmt::format("<th scope=\"col\">{}</th>", head);
    html += has_ratio ? "<th scope=\"col\">ratio of p50</th></tr></thead><tbody>" : "</tr></thead><tbody>";
    const std::vector<TableLine> lines = table_of(document);
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const TableLine& line = lines[i];
        const bool is_last = i + 1 == lines.size() || !lines[i + 1].label.empty();
        html += fmt::format("<tr{}><td>{}</td><td class=\"l\"><span class=\"sw {}\"></span>{}</td>",
                            is_last ? "" : " class=\"more\"", pretty(line.label), column_class(line.column),
                            html_escape(document.plan.columns[line.column].name));
        for (const std::string& figure : line.figures) html += fmt::format("<td>{}</td>", pretty(figure));
        if (line.figures.empty())
            html += fmt::format("<td class=\"l dim\" colspan=\"{}\">{}</td>", kTableHeads.size() + has_ratio,
                                html_escape(line.missing));
        else if (has_ratio)
            html += fmt::format("<td>{}</td>", pretty(line.ratio));
        html += "</tr>";
    }
    return html + "</tbody></table></div>";
}

std::string count_table(std::string_view head, const std::vector<NamedCount>& counts, u64 all) {
    if (counts.empty()) return {};
    std::string html = fmt::format(
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">{}</th><th scope=\"col\">count</th>"
        "<th scope=\"col\">share</th></tr></thead><tbody>",
        head);
    for (const NamedCount& count : counts)
        html += fmt::format(
            "<tr><td>{}</td><td>{}</td><td>{:.1f} %</td></tr>", html_escape(count.name), count.value,
            100.0 * static_cast<double>(count.value) / static_cast<double>(std::max<u64>(all, 1)));
    return html + "</tbody></table></div>";
}

std::string exits(const Document& document) {
    std::string html;
    for (std::size_t column = 0; column < document.plan.columns.size(); ++column) {
        const Run* run = counting_run(document.result, column);
        if (run == nullptr) continue;
        const RunCounts& counts = run->counts;
        html += fmt::format("<h3><span class=\"sw {}\"></span>{}</h3><p>", column_class(column),
                            html_escape(document.plan.columns[column].name));
        if (counts.stats)
            html += fmt::format("{} returns to user space by mayfly's own count. ", counts.stats->returns);
        if (counts.kvm_returns)
            html += fmt::format("KVM's tracepoint counted {} returns to user space.", *counts.kvm_returns);
        else
            html += fmt::format("<span class=\"dim\">KVM's tracepoints: {}.</span>",
                                document.result.why_no_tracepoints.empty() ? "not counted" : "not permitted");
        if (counts.kvm_exits)
            html += fmt::format(" In all, the guest left to the host's kernel {} times.", *counts.kvm_exits);
        html += "</p>";
        if (counts.stats)
            html += count_table("reason", counts.stats->reasons, counts.stats->returns) +
                    count_table("where", counts.stats->places, counts.stats->returns);
    }
    return html;
}

std::string section(std::string_view title, std::string_view introduction, const std::string& body) {
    if (body.empty()) return {};
    return fmt::format("<section><h2>{}</h2><p class=\"dim\">{}</p>{}</section>", title, introduction, body);
}

}  // namespace

std::string pretty(std::string_view text) {
    std::string html = html_escape(text);
    const auto is_word = [&](std::size_t at) {
        return at < html.size() && std::isalnum(static_cast<unsigned char>(html[at])) != 0;
    };
    const auto replace = [&](std::string_view from, std::string_view to, bool is_unit) {
        for (std::size_t at = html.find(from); at != std::string::npos; at = html.find(from, at + 1)) {
            // " us" is a unit after a digit, at the end of a word.
            if (is_unit && (at == 0 || !is_word(at - 1) || is_word(at + from.size()))) continue;
            html.replace(at, from.size(), to);
        }
    };
    replace(" us", "\u00a0\u00b5s", true);
    replace(" ms", "\u00a0ms", true);
    replace(" x", "\u00a0\u00d7", true);
    replace("-&gt;", "\u2192", false);
    return html;
}

std::string column_class(std::size_t column) { return fmt::format("k{}", column % kColumnColours); }

}  // namespace html

std::string html_escape(std::string_view text) {
    std::string html;
    for (const char c : text) {
        switch (c) {
            case '&': html += "&amp;"; break;
            case '<': html += "&lt;"; break;
            case '>': html += "&gt;"; break;
            case '"': html += "&quot;"; break;
            case '\'': html += "&#39;"; break;
            default:
                // XML 1.0, 2.2 "Characters": no other control characters. Bytes above are left to UTF-8.
                html += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? ' ' : c;
        }
    }
    return html;
}

std::string bench_html(const Document& document) {
    using namespace html;
    const std::string title = html_escape(document.title);
    std::string page = fmt::format(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
        "content=\"width=device-width,initial-scale=1\"><title>Cold start: {}</title><style>",
        title);
    page += kStyle;
    page += fmt::format(
        "</style></head><body><main><p class=\"kick\">Cold start</p><h1><code>{}</code></h1>"
        "<p class=\"dim\">{} runs of each{} \u00b7 {}</p>",
        title, document.plan.runs,
        document.plan.parallel > 1 ? fmt::format(", {} at once", document.plan.parallel) : "",
        html_escape(document.date));
    for (const std::string& warning : document.figures.warnings)
        page += "<p class=\"warn\">" + pretty(warning) + "</p>";
    page += lead(document) + cards(document);
    page += section("How long, run by run",
                    "Which share of the runs had got there after how long. Dots are medians.",
                    distribution_chart(document));
    std::string phases;
    for (std::size_t i = 0; i < document.plan.columns.size(); ++i) phases += phase_chart(document, i);
    page += section("Where the time went", "The median run of each; every bar has its own scale.", phases);
    page += section("Figures", "Percentiles are nearest-rank: values that were measured.",
                    percentile_table(document));
    page += section("Exits", "Of one further run that was not timed.", exits(document));
    std::string notes = "<ul>";
    for (const std::string& note : document.figures.notes) notes += "<li>" + pretty(note) + "</li>";
    page += section("How it was measured", "What to know before trusting a figure.", notes + "</ul>");
    std::string host = "<dl>";
    for (const auto& [what, value] : document.host)
        host += fmt::format("<dt>{}</dt><dd>{}</dd>", html_escape(what), html_escape(value));
    page += section("Host", "Times hold for this machine only; ratios travel better.", host + "</dl>");
    std::string commands = "<pre>" + html_escape(document.repeat) + "</pre>";
    for (const Column& column : document.plan.columns) {
        const std::string prepare =
            column.prepare.empty() ? std::string() : fmt::format("# before: {}\n", column.prepare);
        commands += fmt::format("<h3>{}</h3><pre>{}</pre>", html_escape(column.name),
                                html_escape(prepare + join_command(column.arguments)));
    }
    page += section("Again", "This command repeats all of it; below it what each column runs.", commands);
    return page + "</main></body></html>\n";
}

}  // namespace mayfly

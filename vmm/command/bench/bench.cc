// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/bench/bench.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "firmware/guests/builtin.h"
#include "vmm/bench/measure/session.h"
#include "vmm/bench/results/document.h"
#include "vmm/bench/results/progress.h"
#include "vmm/bench/results/words.h"
#include "vmm/command/bench/bench_files.h"
#include "vmm/command/bench/bench_merge.h"
#include "vmm/command/bench/bench_options.h"
#include "vmm/command/bench/bench_qemu.h"
#include "vmm/command/bench/result_file.h"
#include "vmm/command/outputs/answer.h"
#include "vmm/doctor/facts/host_facts.h"
#include "vmm/machine/boot/guest_images.h"
#include "vmm/machine/lifecycle/ending.h"
#include "vmm/machine/lifecycle/signals.h"
#include "vmm/os/clock.h"
#include "vmm/os/text_file.h"
#include "vmm/text/log.h"

namespace mayfly {

namespace {

constexpr int kStatusSomeFailed = 1;

/// The built-in guest as a file for QEMU; goes with this object.
class GuestFile {
  public:
    static Result<GuestFile> create(std::span<const std::byte> elf) {
        const char* place = std::getenv("TMPDIR");
        GuestFile file;
        // mkdir(2) fails for what exists already, whoever made it.
        std::string directory = fmt::format("{}/mayfly-bench-{}-{:x}", place != nullptr ? place : "/tmp",
                                            ::getpid(), monotonic_ns());
        if (::mkdir(directory.c_str(), 0700) < 0) return fail(Error::os("mkdir").about(directory));
        file.directory_ = std::move(directory);
        file.path_ = file.directory_ + "/guest.elf";
        TRY_VOID(write_pvh_guest(elf, file.path_));
        return file;
    }

    GuestFile(GuestFile&& other) noexcept
        : directory_(std::exchange(other.directory_, {})), path_(std::exchange(other.path_, {})) {}
    GuestFile& operator=(GuestFile&&) = delete;
    ~GuestFile() {
        if (directory_.empty()) return;
        ::unlink(path_.c_str());
        ::rmdir(directory_.c_str());
    }

    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    GuestFile() = default;

    std::string directory_;
    std::string path_;
};

/// QEMU's column gets what only this layer knows: the host's KVM, and a file for a built-in guest.
Result<void> complete_qemu(const HostFacts& host, BenchPlan& plan, std::vector<GuestFile>& guest_files) {
    for (Column& column : plan.columns) {
        if (column.kind != Column::Kind::Qemu) continue;
        QemuMachine machine = TRY(bench_qemu_machine(column.boot_words));
        // `-cpu host` passes IA32_ARCH_CAPABILITIES on, which PVM's guests cannot read.
        machine.hides_arch_capabilities = host.flavour == KvmFlavour::Pvm;
        BootConfig config;
        config.kernel = machine.kernel;
        if (const BuiltinGuest* guest = TRY(builtin_of(config)); guest != nullptr) {
            const Image image = TRY(image_of(*guest));
            const ImageBytes file = TRY(image.bytes(0, image.size_bytes()));
            guest_files.push_back(TRY(GuestFile::create(file.bytes)));
            machine.kernel = guest_files.back().path();
        }
        column.arguments = qemu_arguments(machine);
    }
    return {};
}

std::string or_unknown(const std::string& text) { return text.empty() ? "not shown by this host" : text; }

std::vector<std::pair<std::string, std::string>> host_rows(const HostFacts& host, const BenchResult& result) {
    std::string cgroup = read_text_file("/proc/self/cgroup", 1024);
    const std::size_t unified = cgroup.find("0::");
    cgroup = unified == std::string::npos
                 ? cgroup.substr(0, cgroup.find('\n'))
                 : cgroup.substr(unified + 3, cgroup.find('\n', unified) - unified - 3);
    return {
        {"mayfly", MAYFLY_VERSION " with " MAYFLY_LIBC " and " MAYFLY_ALLOCATOR},
        {"kernel", or_unknown(host.kernel_release)},
        {"processor", fmt::format("{}, {} online{}", or_unknown(host.cpu.model), host.cpu.online,
                                  host.cpu.is_guest ? ", under " + or_unknown(host.cpu.hypervisor) : "")},
        {"KVM", std::string(to_string(host.flavour))},
        {"governor", or_unknown(read_text_file("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", 64))},
        {"clock source", or_unknown(host.clocksource)},
        {"cgroup", or_unknown(cgroup)},
        {"load before", or_unknown(result.load_before)},
        {"load after", or_unknown(result.load_after)},
    };
}

std::string utc_now() {
    const UtcTime now = utc_time(wall_seconds());
    return fmt::format("{:04}-{:02}-{:02} {:02}:{:02} UTC", now.year, now.month, now.day, now.hour,
                       now.minute);
}

/// What every run of mayfly said is said once.
int print_first_failure(const BenchResult& result) {
    const Run& run = result.runs.back();
    const std::string& text = run.error_tail;
    log::write_stderr(text);
    if (text.empty()) log::error(fmt::format("mayfly boot: {}", describe_end(run)));
    return run.end == RunEnd::Exited ? run.status : kStatusFailed;
}

int status_of(const BenchResult& result) {
    if (result.signal != 0) return kStatusSignalBase + result.signal;
    for (const ColumnOutcome& column : result.columns) {
        if (column.failures != 0) return kStatusSomeFailed;
    }
    return 0;
}

/// The table, or the one document that was asked for there; then the table goes to stderr. Returns 0 or 125.
int print_stdout(const BenchArguments& arguments, const Document& document) {
    const std::string table = bench_text(document);
    std::string text;
    if (arguments.json == "-") text = bench_json(document);
    if (arguments.csv == "-") text = bench_csv(document);
    if (arguments.html == "-") text = bench_html(document);
    if (arguments.markdown == "-") text = bench_markdown(document);
    if (text.empty()) return print_result(table);
    (void)std::fwrite(table.data(), 1, table.size(), stderr);
    return print_result(text);
}

std::string title_of(const BenchArguments& arguments) {
    std::vector<std::string> words{"mayfly", "boot"};
    words.insert(words.end(), arguments.boot_words.begin(), arguments.boot_words.end());
    return join_command(words);
}

Result<int> run_bench(const BenchArguments& arguments, const std::string& repeat) {
    BenchPlan plan = TRY(bench_plan(arguments));
    TRY_VOID(check_bench_files(arguments, plan));
    const ResultFile json = TRY(ResultFile::open("--json", arguments.json));
    const ResultFile csv = TRY(ResultFile::open("--csv", arguments.csv));
    const ResultFile html = TRY(ResultFile::open("--html", arguments.html));
    const ResultFile markdown = TRY(ResultFile::open("--export-markdown", arguments.markdown));
    const HostFacts host = gather_host();
    std::vector<GuestFile> guest_files;
    TRY_VOID(complete_qemu(host, plan, guest_files));
    for (const Column& column : plan.columns)
        log::info(fmt::format("{}: {}", column.name, join_command(column.arguments)));
    Progress progress(plan);
    const auto on_progress = [&](const Progression& progression, std::span<const Run> batch) {
        progress.batch_done(progression, batch);
    };
    Result<BenchResult> outcome = run_session(plan, on_progress);
    progress.finish();
    const BenchResult result = TRY(std::move(outcome));
    guest_files.clear();  // a signal from now on would leave it behind
    if (result.columns.front().is_hopeless) return print_first_failure(result);
    const Document document{plan,
                            result,
                            figures_of(plan, result),
                            repeat,
                            title_of(arguments),
                            utc_now(),
                            host_rows(host, result)};
    int status = print_stdout(arguments, document);
    if (status == 0) status = status_of(result);
    status = json.write([&] { return bench_json(document); }, status);
    status = csv.write([&] { return bench_csv(document); }, status);
    status = html.write([&] { return bench_html(document); }, status);
    return markdown.write([&] { return bench_markdown(document); }, status);
}

}  // namespace

int bench_command(int argc, char** argv) {
    make_write_signals_errors();
    if (argc >= 2 && std::string_view(argv[1]) == "merge") return bench_merge_command(argc - 1, argv + 1);
    if (argc < 2 || std::string_view(argv[1]) != "boot") {
        const std::string_view word = argc < 2 ? "" : argv[1];
        if (word != "--help" && word != "-h")
            return print_error(
                Error::invalid(word.empty() ? std::string("what is to be measured is missing")
                                            : fmt::format("mayfly bench cannot measure '{}'", word))
                    .hint("mayfly bench boot [OPTIONS] -- BOOT-ARGS, or mayfly bench merge FILE..."));
    }
    std::vector<std::string> words{"mayfly", "bench"};
    words.insert(words.end(), argv + 1, argv + argc);
    const bool is_boot = argc >= 2 && std::string_view(argv[1]) == "boot";
    const Result<BenchArguments> arguments =
        parse_bench_arguments(is_boot ? argc - 1 : argc, is_boot ? argv + 1 : argv);
    if (!arguments) return print_error(arguments.error());
    if (arguments->is_help) return print_result(arguments->help_text);
    log::set_verbose(arguments->is_verbose);
    const Result<int> status = run_bench(*arguments, join_command(words));
    return status ? *status : print_error(status.error());
}

}  // namespace mayfly

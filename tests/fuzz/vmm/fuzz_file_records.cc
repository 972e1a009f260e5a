// SPDX-License-Identifier: Apache-2.0
// Fuzzes the records in which a guest sends files: names stay below the requested path, each record comes
// where it may, and the cut into pieces makes no difference.
//
// The input is a byte, the number of requested copies; a byte, the size of pieces; then records.
#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <vector>

#include "vmm/machine/copy_out/record_reader.h"

namespace {

using namespace mayfly;

void require(bool is_true) {
    if (!is_true) std::abort();
}

/// Checks each record against the ones that may come.
class Judge final : public FileSink {
  public:
    explicit Judge(u32 copies) : copies_(copies) {}

    void on_directory(const FileName& name, u32 /*mode*/) override { outside(name, 'd'); }
    void on_file(const FileName& name, u32 /*mode*/) override {
        outside(name, 'f');
        is_in_file_ = true;
        position_ = 0;
    }
    void on_data(u64 at, std::span<const std::byte> bytes) override {
        require(is_in_file_ && at >= position_ && bytes.size() <= 65'536);
        position_ = at + bytes.size();
        require(position_ >= at && position_ <= ~u64{0} >> 1);
        add('+', std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    }
    void on_file_end(u64 size_bytes, timespec mtime) override {
        require(mtime.tv_nsec >= 0 && mtime.tv_nsec < 1'000'000'000);
        require(is_in_file_ && size_bytes >= position_ && size_bytes <= ~u64{0} >> 1);
        is_in_file_ = false;
        add('=', std::to_string(size_bytes));
    }
    void on_link(const FileName& name, const std::string& target) override {
        require(!target.empty() && target.size() <= 4095 && target.find('\0') == std::string::npos);
        outside(name, 'l');
    }
    void on_left_out(const FileName& name, u32 /*mode*/) override { outside(name, 'o'); }
    void on_problem(const FileName& name, int error) override {
        require(error > 0 && error < 4096);
        is_in_file_ = false;
        outside(name, '!');
    }

    [[nodiscard]] const std::vector<std::string>& seen() const { return seen_; }

  private:
    void outside(const FileName& name, char kind) {
        require(!is_in_file_ && name.copy < copies_ && name.path.size() <= 4095);
        const std::string bounded = "/" + name.path + "/";
        if (!name.path.empty())
            for (const char* part : {"//", "/./", "/../"}) require(bounded.find(part) == std::string::npos);
        require(name.path.find('\0') == std::string::npos);
        add(kind, name.path);
    }
    void add(char kind, const std::string& text) { seen_.push_back(kind + text); }

    const u32 copies_;
    std::vector<std::string> seen_;
    bool is_in_file_ = false;
    u64 position_ = 0;
};

struct Outcome {
    std::vector<std::string> seen;
    bool is_good = false;
    bool has_ended = false;

    friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome read(u32 copies, std::span<const std::byte> bytes, std::size_t piece) {
    Judge judge(copies);
    RecordReader reader(copies, judge);
    bool is_good = true;
    while (!bytes.empty() && is_good) {
        const std::size_t now = std::min(bytes.size(), piece);
        is_good = reader.feed(bytes.first(now)).has_value();
        bytes = bytes.subspan(now);
    }
    return {judge.seen(), is_good, reader.has_ended()};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
    if (size < 2) return 0;
    const u32 copies = data[0] % 4 + 1;
    const std::size_t piece = data[1] + std::size_t{1};
    const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size)).subspan(2);
    require(read(copies, bytes, size) == read(copies, bytes, piece));
    return 0;
}

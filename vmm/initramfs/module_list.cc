// SPDX-License-Identifier: Apache-2.0
#include "vmm/initramfs/module_list.h"

#include "firmware/image/refuse.h"
#include "vmm/error/ints.h"
#include "vmm/initramfs/archive/archive.h"
#include "vmm/initramfs/module_name.h"

namespace mayfly {

namespace {

constexpr std::string_view kSpace = " \t";

/// Takes the next line off `text`.
std::string_view next_line(std::string_view& text) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return line;
}

/// Takes the next word off `text`; empty at its end.
std::string_view next_word(std::string_view& text) {
    text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
    const std::string_view word = text.substr(0, text.find_first_of(kSpace));
    text.remove_prefix(word.size());
    return word;
}

/// A path that depmod writes: relative, and without "..".
bool stays_inside(std::string_view path) {
    if (path.empty() || path.front() == '/') return false;
    while (!path.empty()) {
        const std::string_view part = path.substr(0, path.find('/'));
        if (part == "..") return false;
        path.remove_prefix(std::min(part.size() + 1, path.size()));
    }
    return true;
}

}  // namespace

ModuleList::ModuleList(const ModuleTexts& texts) : texts_(texts) {
    std::string_view text = texts.dependencies;
    while (!text.empty()) {
        const std::string_view line = next_line(text);
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos || line.front() == '#') continue;
        const std::string_view path = line.substr(0, colon);
        lines_.push_back({path, module_name(path), line.substr(colon + 1)});
    }
}

std::optional<std::size_t> ModuleList::find_path(std::string_view path) const {
    for (std::size_t i = 0; i < lines_.size(); ++i)
        if (lines_[i].path == path) return i;
    return std::nullopt;
}

std::optional<std::size_t> ModuleList::find_name(std::string_view name) const {
    for (std::size_t i = 0; i < lines_.size(); ++i)
        if (is_same_module(lines_[i].name, name)) return i;
    return std::nullopt;
}

bool ModuleList::is_builtin(std::string_view name) const {
    std::string_view text = texts_.builtin;
    while (!text.empty())
        if (is_same_module(module_name(next_line(text)), name)) return true;
    return false;
}

bool ModuleList::lacks(std::string_view name) const { return !find_name(name) && !is_builtin(name); }

/// One call of resolve(): a depth-first walk with its own stack, because a file decides its depth.
class ModuleList::Resolution {
  public:
    Resolution(const ModuleList& list, StopToken stop)
        : list_(list), stop_(stop), states_(list.lines_.size()) {}

    Result<void> add(std::size_t root, bool is_optional) {
        push(root, is_optional);
        while (!stack_.empty()) {
            TRY_VOID(stop_.check());
            Visit& top = stack_.back();
            const Line& line = list_.lines_[top.line];
            if (std::optional<Need> need = TRY(next_need(top, line))) {
                push(need->line, need->is_optional || top.is_optional);
                continue;
            }
            if (!stays_inside(line.path))
                return refuse("modules.dep names {}, which is outside of its directory",
                              printable(line.path));
            // A module that is required once stays required.
            if (states_[top.line].place == 0) {
                order_.push_back({line.path, line.name, top.is_optional});
                states_[top.line].place = order_.size();
            } else if (!top.is_optional) {
                order_[states_[top.line].place - 1].is_optional = false;
            }
            stack_.pop_back();
        }
        return {};
    }

    [[nodiscard]] std::vector<ModuleToLoad> take() { return std::move(order_); }

  private:
    struct Need {
        std::size_t line;
        bool is_optional;
    };
    struct Visit {
        std::size_t line;
        bool is_optional;
        std::string_view hard;          ///< the rest of its line in modules.dep
        std::vector<std::size_t> soft;  ///< before the hard ones
    };
    struct State {
        bool is_seen = false;      ///< once as optional or required
        bool is_required = false;  ///< once as required
        std::size_t place = 0;     ///< in the order, from 1
    };

    void push(std::size_t line, bool is_optional) {
        State& state = states_[line];
        if (state.is_seen && (is_optional || state.is_required)) return;  // also ends circles
        state.is_seen = true;
        state.is_required = state.is_required || !is_optional;
        stack_.push_back({line, is_optional, list_.lines_[line].needs, soft_needs(list_.lines_[line].name)});
    }

    Result<std::optional<Need>> next_need(Visit& visit, const Line& line) const {
        if (!visit.soft.empty()) {
            const std::size_t soft = visit.soft.back();
            visit.soft.pop_back();
            return Need{soft, true};
        }
        const std::string_view path = next_word(visit.hard);
        if (path.empty()) return std::optional<Need>();
        const std::optional<std::size_t> found = list_.find_path(path);
        if (!found)
            return refuse("modules.dep: {} needs {}, which has no line", printable(line.path),
                          printable(path));
        return Need{*found, false};
    }

    /// "softdep NAME pre: A B post: C": A and B, by name or alias; unknown names are skipped. Last first.
    [[nodiscard]] std::vector<std::size_t> soft_needs(std::string_view name) const {
        std::vector<std::size_t> needs;
        std::string_view text = list_.texts_.soft_dependencies;
        while (!text.empty() && !stop_.is_requested()) {
            std::string_view line = next_line(text);
            if (next_word(line) != "softdep" || !is_same_module(next_word(line), name)) continue;
            bool is_before = false;
            for (std::string_view word = next_word(line); !word.empty() && !stop_.is_requested();
                 word = next_word(line)) {
                if (word.back() == ':')
                    is_before = word == "pre:";
                else if (is_before)
                    add_named(word, needs);
            }
        }
        return {needs.rbegin(), needs.rend()};
    }

    void add_named(std::string_view name, std::vector<std::size_t>& needs) const {
        if (const std::optional<std::size_t> found = list_.find_name(name)) return needs.push_back(*found);
        std::string_view text = list_.texts_.aliases;
        while (!text.empty() && !stop_.is_requested()) {
            std::string_view line = next_line(text);
            if (next_word(line) != "alias" || !is_same_module(next_word(line), name)) continue;
            if (const std::optional<std::size_t> found = list_.find_name(next_word(line)))
                needs.push_back(*found);
        }
    }

    const ModuleList& list_;
    StopToken stop_;
    std::vector<State> states_;
    std::vector<Visit> stack_{};
    std::vector<ModuleToLoad> order_{};
};

Result<std::vector<ModuleToLoad>> ModuleList::resolve(const std::vector<std::string_view>& wanted,
                                                      StopToken stop) const {
    Resolution resolution(*this, stop);
    for (const std::string_view name : wanted) {
        if (const std::optional<std::size_t> found = find_name(name))
            TRY_VOID(resolution.add(*found, false));
        else if (!is_builtin(name))
            return refuse("the kernel module {} is neither in the directory nor built into the kernel", name);
    }
    return resolution.take();
}

}  // namespace mayfly

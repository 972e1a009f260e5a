// SPDX-License-Identifier: Apache-2.0
#include "vmm/initramfs/program.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <span>

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "vmm/initramfs/archive/archive.h"

namespace mayfly {

namespace {

constexpr std::array kSearched = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
                                  "/usr/bin",        "/sbin",          "/bin"};
constexpr const char* kRootHint = "give its root with --root, or link it statically";
/// Linux follows the same number of nested interpreters (fs/exec.c, exec_binprm).
constexpr int kInterpretersMax = 5;
/// The bytes that Linux reads of a script (BINPRM_BUF_SIZE), and more than it accepts of program headers.
constexpr std::size_t kStartBytes = 256;
constexpr std::size_t kProgramHeadersMax = 1024;

std::size_t read_at(const UniqueFd& file, u64 offset, void* out, std::size_t size_bytes) {
    ssize_t got = 0;
    do {
        got = ::pread(file.get(), out, size_bytes, static_cast<off_t>(offset));
    } while (got < 0 && errno == EINTR);
    return got < 0 ? 0 : static_cast<std::size_t>(got);
}

/// Whether Linux could execute the file, apart from its interpreter.
class Executable {
  public:
    Executable(const UniqueFd& file, std::string name) : file_(file), name_(std::move(name)) {}

    /// The path of the interpreter, empty for none.
    [[nodiscard]] Result<std::string> interpreter() const {
        char start[kStartBytes] = {};
        const std::size_t size = read_at(file_, 0, start, sizeof(start));
        const std::string_view text(start, size);
        if (text.substr(0, 2) == "#!") return script_interpreter(text.substr(2));
        if (text.substr(0, SELFMAG) != ELFMAG || size < sizeof(Elf32_Ehdr))
            return refused("is neither an ELF program nor a script that begins with #!");
        if (start[EI_CLASS] == ELFCLASS64 && size >= sizeof(Elf64_Ehdr))
            return elf_interpreter<Elf64_Ehdr, Elf64_Phdr>(start);
        if (start[EI_CLASS] == ELFCLASS32) return elf_interpreter<Elf32_Ehdr, Elf32_Phdr>(start);
        return refused("has an ELF header that Linux would not take");
    }

  private:
    [[nodiscard]] Unexpected refused(std::string_view what) const {
        return fail(Error::invalid(std::string(what)).about(name_));
    }

    [[nodiscard]] Result<std::string> script_interpreter(std::string_view line) const {
        line = line.substr(0, line.find('\n'));
        line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
        line = line.substr(0, line.find_first_of(std::string_view(" \t\0", 3)));
        if (line.empty()) return refused("is a script whose #! line names no interpreter");
        return std::string(line);
    }

    template <typename Header, typename ProgramHeader>
    Result<std::string> elf_interpreter(const char* start) const {
        Header header;
        std::memcpy(&header, start, sizeof(header));
        if (header.e_machine != EM_X86_64 && header.e_machine != EM_386)
            return refused(fmt::format("is for another machine (ELF e_machine {}), the guest is x86-64",
                                       header.e_machine));
        if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
            return refused(fmt::format("is an ELF file but no program (e_type {})", header.e_type));
        if (header.e_phentsize != sizeof(ProgramHeader) || header.e_phnum > kProgramHeadersMax)
            return refused("has an ELF header that Linux would not take");
        for (u64 i = 0; i < header.e_phnum; ++i) {
            ProgramHeader segment;
            if (read_at(file_, header.e_phoff + i * sizeof(segment), &segment, sizeof(segment)) !=
                sizeof(segment))
                return refused("is truncated: its program headers are beyond its end");
            if (segment.p_type != PT_INTERP) continue;
            char path[4096];
            if (segment.p_filesz < 2 || segment.p_filesz > sizeof(path) ||
                read_at(file_, segment.p_offset, path, segment.p_filesz) != segment.p_filesz ||
                path[segment.p_filesz - 1] != 0)
                return refused("names its interpreter in a way that Linux would not take");
            return std::string(path);
        }
        return std::string();
    }

    const UniqueFd& file_;
    std::string name_;
};

/// A regular file that some user may execute: enough for root in the guest. `name` is for messages.
Result<struct stat> require_executable(const UniqueFd& file, const std::string& name) {
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return fail(Error::os("fstat").about(name));
    if (S_ISDIR(status.st_mode)) return fail(Error::invalid("is a directory, not a program").about(name));
    if (!S_ISREG(status.st_mode)) return fail(Error::invalid("is not a file, so no program").about(name));
    if ((status.st_mode & 0111) == 0)
        return fail(Error::invalid("is not executable").hint("chmod +x").about(name));
    return status;
}

std::string inside(const RootDirectory& root, std::string_view path) {
    return root.label() + (path.substr(0, 1) == "/" ? "" : "/") + printable(path);
}

Unexpected not_found(const std::string& name) {
    Error error = Error::not_found("no such program").about(name);
    if (name.find(' ') == std::string::npos) return fail(std::move(error));
    return fail(std::move(error).hint("its arguments come after --"));
}

/// Follows the chain of interpreters of `file`: each has to be in the root.
Result<void> require_interpreters(const UniqueFd& file, const std::string& name, const RootDirectory* root) {
    UniqueFd held;
    const UniqueFd* current = &file;
    std::string current_name = name;
    for (int i = 0; i <= kInterpretersMax; ++i) {
        const std::string path = TRY(Executable(*current, current_name).interpreter());
        if (path.empty()) return {};
        const std::string needs = fmt::format("needs the interpreter {}", printable(path));
        if (root == nullptr)
            return fail(Error::invalid(needs + ", which the guest will not have")
                            .about(current_name)
                            .hint(kRootHint));
        UniqueFd next = root->open_inside(path);
        if (!next.valid())
            return fail(Error::invalid(fmt::format("{}, which {} does not have: {}", needs, root->label(),
                                                   std::strerror(errno)))
                            .about(current_name)
                            .hint(kRootHint));
        current_name = inside(*root, path);
        TRY_VOID(require_executable(next, current_name));
        held = std::move(next);
        current = &held;
    }
    return fail(
        Error::invalid(fmt::format("needs more than {} interpreters of interpreters", kInterpretersMax))
            .about(name));
}

Result<Program> host_program(const std::string& program, const RootDirectory* root) {
    const std::string name = printable(program);
    UniqueFd file = UniqueFd::adopt(::open(program.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!file.valid() && (errno == ENOENT || errno == ENOTDIR)) return not_found(name);
    if (!file.valid()) return fail(Error::os("open").about(name));
    const struct stat status = TRY(require_executable(file, name));
    TRY_VOID(require_interpreters(file, name, root));
    const std::string base = program.substr(program.rfind('/') + 1);
    return Program{"/.mayfly/bin/" + base,
                   HostProgram{std::move(file), static_cast<u64>(status.st_size), archive_time(status)}};
}

Result<Program> inside_program(const std::string& path, const UniqueFd& file, const RootDirectory& root) {
    const std::string name = inside(root, path);
    TRY_VOID(require_executable(file, name));
    TRY_VOID(require_interpreters(file, name, &root));
    return Program{path};
}

/// Like a shell: the first executable match; else the error of the first match.
Result<Program> search(const std::string& program, const RootDirectory& root) {
    std::optional<Error> problem;
    for (const char* directory : kSearched) {
        const std::string path = fmt::format("{}/{}", directory, program);
        const UniqueFd file = root.open_inside(path);
        if (!file.valid()) {
            if (errno != ENOENT && errno != ENOTDIR && !problem)
                problem = Error::os("open").about(inside(root, path));
            continue;
        }
        Result<struct stat> usable = require_executable(file, inside(root, path));
        if (usable) return inside_program(path, file, root);
        if (!problem) problem = std::move(usable).error();
    }
    if (problem) return fail(std::move(*problem));
    return fail(
        Error::not_found(fmt::format("no such program in {}'s /usr/local/sbin, /usr/local/bin, /usr/sbin, "
                                     "/usr/bin, /sbin and /bin",
                                     root.label()))
            .about(printable(program))
            .hint(fmt::format("./{} would be a file of the host", printable(program))));
}

}  // namespace

Result<Program> find_program(const std::string& program, const RootDirectory* root) {
    if (program.empty()) return fail(Error::invalid("the program's name is empty"));
    if (root == nullptr) return host_program(program, root);
    if (program.find('/') == std::string::npos) return search(program, *root);
    if (program.front() != '/') return host_program(program, root);
    const UniqueFd file = root->open_inside(program);
    if (file.valid()) return inside_program(program, file, *root);
    const std::string name = inside(*root, program);
    if (errno == EXDEV)
        return fail(
            Error::invalid("is on another file system than the root, so it is not packed").about(name));
    if (errno != ENOENT && errno != ENOTDIR) return fail(Error::os("open").about(name));
    return not_found(name);
}

}  // namespace mayfly

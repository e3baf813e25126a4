#include "common/process/call_filter.hpp"

#include <fmt/format.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/process/libseccomp.hpp"

namespace preforkd {

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool traces_itself = true;  // the search for leaks stops all threads
#else
constexpr bool traces_itself = false;
#endif

constexpr int most_calls = 512;  // above the highest number of any; new ones have the same on all architectures

/// Without it, kernels before 5.16 slow down everything that is put under a filter: a remedy against Spectre for
/// processes that run others' code in their own memory, which a handler is not.  Source: seccomp(2), prctl(2).
constexpr unsigned filter_flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;

long seccomp(unsigned operation, unsigned flags, const void* arguments) noexcept {
    return ::syscall(SYS_seccomp, operation, flags, arguments);
}

/// One filter while it is made.  Functions of libseccomp return a negative errno.
class Making {
public:
    explicit Making(std::uint32_t otherwise) : context_{library_.init(otherwise), library_.release} {
        if (!context_) throw std::runtime_error{"libseccomp: no memory for a filter"};
        // What this kernel cannot run is as unknown to it as before.
        check(library_.attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS)), "architectures");
        constexpr std::uint32_t binary_tree = 2;
        check(library_.attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, binary_tree), "a binary tree");
    }

    /// Else a program of the older kind would go past what is denied by number.
    void add_older_architectures() {
#if defined(__x86_64__)
        constexpr std::array<std::uint32_t, 2> older{SCMP_ARCH_X86, SCMP_ARCH_X32};
        for (const std::uint32_t each : older) check(library_.arch_add(context_.get(), each), "architectures");
#elif defined(__aarch64__)
        check(library_.arch_add(context_.get(), SCMP_ARCH_ARM), "architectures");
#endif
    }

    void add(const CallRule& rule, std::uint32_t action) {
        std::vector<scmp_arg_cmp> tests;
        for (const auto& test : {rule.when, rule.and_when})
            if (test)
                tests.push_back(
                    {.arg = test->index, .op = SCMP_CMP_MASKED_EQ, .datum_a = test->mask, .datum_b = test->value});
        add(rule.name, action, tests);
    }

    void deny_mremap_of(std::span<const std::byte> pages) {
        const auto page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
        for (; !pages.empty(); pages = pages.subspan(page_bytes))  // it takes no other address
            add_mremap(SCMP_ACT_ERRNO(EPERM), SCMP_CMP_EQ, pages.data());
    }

    void allow_mremap_outside(std::span<const std::byte> pages) {
        if (pages.empty()) return add("mremap", SCMP_ACT_ALLOW, {});
        add_mremap(SCMP_ACT_ALLOW, SCMP_CMP_LT, pages.data());
        add_mremap(SCMP_ACT_ALLOW, SCMP_CMP_GE, pages.data() + pages.size());
    }

    [[nodiscard]] FilterProgram finish() const {
        // The library writes it into a descriptor only.
        const UniqueFd file{preforkd::check(::memfd_create("preforkd-filter", MFD_CLOEXEC), "make a filter")};
        check(library_.export_bpf(context_.get(), file.get()), "the program");
        const off_t size = ::lseek(file.get(), 0, SEEK_END);
        FilterProgram program(static_cast<std::size_t>(size) / sizeof(sock_filter));
        if (::pread(file.get(), program.data(), program.size() * sizeof(sock_filter), 0) != size)
            throw_errno("read a filter");
        return program;
    }

private:
    /// Where the first argument compares with `address` so.
    void add_mremap(std::uint32_t action, scmp_compare comparison, const void* address) {
        add("mremap", action,
            {{scmp_arg_cmp{
                .arg = 0, .op = comparison, .datum_a = reinterpret_cast<std::uintptr_t>(address), .datum_b = 0}}});
    }

    void add(std::string_view name, std::uint32_t action, const std::vector<scmp_arg_cmp>& tests) {
        const int number = library_.number_of(std::string{name}.c_str());
        if (number == __NR_SCMP_ERROR) return;  // newer than this libseccomp
        check(library_.rule_add(context_.get(), action, number, static_cast<unsigned>(tests.size()), tests.data()),
              name);
    }

    static void check(int result, std::string_view what) {
        if (result < 0) throw std::runtime_error{fmt::format("libseccomp: {}: {}", what, std::strerror(-result))};
    }

    Libseccomp library_{};
    std::unique_ptr<void, void (*)(void*)> context_;
};

}  // namespace

std::optional<std::string> why_no_filter() noexcept {
    // With no program it fails, and tells how far it got.
    if (seccomp(SECCOMP_SET_MODE_FILTER, filter_flags, nullptr) == -1 && errno == EFAULT) return std::nullopt;
    return errno == EPERM ? "a filter that this process was started under denies seccomp(2)"
                          : "this kernel has no filters of system calls";
}

FilterProgram make_deny_filter(std::span<const std::byte> immovable) {
    Making filter{SCMP_ACT_ALLOW};
    filter.add_older_architectures();
    for (const std::string_view name : sandbox::denied)
        if (!traces_itself || name != "ptrace") filter.add({name}, SCMP_ACT_ERRNO(EPERM));
    for (const CallRule& rule : sandbox::denied_if) filter.add(rule, SCMP_ACT_ERRNO(EPERM));
    filter.deny_mremap_of(immovable);
    filter.add({sandbox::hidden}, SCMP_ACT_ERRNO(ENOSYS));
    return filter.finish();
}

FilterProgram make_allow_filter(std::span<const CallRule> allowed, std::span<const std::byte> immovable) {
    Making filter{SCMP_ACT_TRAP};
    for (const CallRule& rule : allowed) filter.add(rule, SCMP_ACT_ALLOW);
    filter.allow_mremap_outside(immovable);
    filter.add({sandbox::hidden}, SCMP_ACT_ERRNO(ENOSYS));
    return filter.finish();
}

std::vector<std::string> names_of_calls() {
    const Libseccomp library;
    std::vector<std::string> names(most_calls);
    for (int number = 0; number < most_calls; ++number) {
        const std::unique_ptr<char, void (*)(void*)> name{library.name_of(SCMP_ARCH_NATIVE, number), std::free};
        if (name) names[static_cast<std::size_t>(number)] = name.get();
    }
    return names;
}

void install_filter(const FilterProgram& program) {
    const sock_fprog whole{.len = static_cast<unsigned short>(program.size()),
                           .filter = const_cast<sock_filter*>(program.data())};
    check(static_cast<int>(seccomp(SECCOMP_SET_MODE_FILTER, filter_flags, &whole)), "put on a filter of system calls");
}

}  // namespace preforkd

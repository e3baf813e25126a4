#pragma once
// What the kernel tells of a process in a line.
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace preforkd {

/// Source: /proc/PID/stat, proc(5).
class ProcStat {
public:
    /// nullopt: there is no such process, or no /proc.
    [[nodiscard]] static std::optional<ProcStat> of(pid_t pid);

    /// The field `number` of proc(5), from 3 on; nullopt: it has none, or one that is no number above zero or zero.
    [[nodiscard]] std::optional<std::uint64_t> field(int number) const noexcept;

private:
    explicit ProcStat(std::string fields) : fields_{std::move(fields)} {}

    std::string fields_;  ///< from the third on: the second is a name, which may have anything in it
};

}  // namespace preforkd

#pragma once
// The letters of Prometheus' formats.  Pure.
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/observe/metrics.hpp"

namespace preforkd {

/// Writes metric families, one after the other: each begins with its name, its kind and its help, and has its samples
/// behind that, together.  `preforkd_` goes before each name.
class Exposition {
public:
    enum class Kind { Gauge, Counter, Histogram };
    using Label = std::pair<std::string_view, std::string_view>;

    explicit Exposition(MetricsFormat format) : format_{format} {}

    /// `name`: of a counter with its `_total`.
    void family(Kind kind, std::string_view name, std::string_view help);
    void sample(double value, std::initializer_list<Label> labels = {}) { sample("", value, labels); }
    void sample(std::string_view suffix, double value, const std::vector<Label>& labels);

    [[nodiscard]] std::string finish() &&;

private:
    MetricsFormat format_;
    std::string name_{};
    std::string announcement_{};  ///< of a family that has no sample yet, and may never get one
    std::string text_{};
};

}  // namespace preforkd

#pragma once
// What there is to measure, as Prometheus reads it.  Pure.
#include <memory>
#include <string>
#include <string_view>

#include "common/control/snapshot.hpp"

namespace preforkd {

/// Prometheus' text format 0.0.4, and OpenMetrics 1.0.  They differ in how a counter is announced and in their end.
/// Source: prometheus.io/docs/instrumenting/exposition_formats; openmetrics.io
enum class MetricsFormat { Prometheus, OpenMetrics };

/// What the header Accept of a request asks for.
[[nodiscard]] MetricsFormat format_for(std::string_view accept);
[[nodiscard]] std::string_view content_type(MetricsFormat format) noexcept;

/// `snapshot` null: nothing is known yet; `up`: the master answers, so that it is of now.
[[nodiscard]] std::string metrics_text(const std::shared_ptr<const Snapshot>& snapshot, bool up, MetricsFormat format);

}  // namespace preforkd

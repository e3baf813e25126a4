#include "daemon/observe/exposition.hpp"

#include <fmt/format.h>

#include <utility>

namespace preforkd {

namespace {

constexpr std::string_view total = "_total";

std::string_view name_of(Exposition::Kind kind) noexcept {
    switch (kind) {
        case Exposition::Kind::Gauge: return "gauge";
        case Exposition::Kind::Counter: return "counter";
        case Exposition::Kind::Histogram: return "histogram";
    }
    return "";
}

/// Backslash, line break and quote.  Source: both formats say the same of a label's value.
void append_escaped(std::string& text, std::string_view value) {
    for (const char c : value) {
        if (c == '\n')
            text += "\\n";
        else {
            if (c == '\\' || c == '"') text += '\\';
            text += c;
        }
    }
}

}  // namespace

void Exposition::family(Kind kind, std::string_view name, std::string_view help) {
    name_ = fmt::format("preforkd_{}", name);
    std::string_view family = name_;
    // OpenMetrics calls the family by its name, and the sample has the suffix.
    if (kind == Kind::Counter && format_ == MetricsFormat::OpenMetrics && family.ends_with(total))
        family.remove_suffix(total.size());
    announcement_ = fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", family, help, name_of(kind));
}

void Exposition::sample(std::string_view suffix, double value, const std::vector<Label>& labels) {
    text_ += std::exchange(announcement_, {});
    text_ += name_;
    text_ += suffix;
    char before = '{';
    for (const auto& [name, content] : labels) {
        text_ += before;
        before = ',';
        text_ += name;
        text_ += "=\"";
        append_escaped(text_, content);
        text_ += '"';
    }
    if (!labels.empty()) text_ += '}';
    text_ += fmt::format(" {}\n", value);
}

std::string Exposition::finish() && {
    if (format_ == MetricsFormat::OpenMetrics) text_ += "# EOF\n";
    return std::move(text_);
}

}  // namespace preforkd

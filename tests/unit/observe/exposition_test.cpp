#include "daemon/observe/exposition.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

using Kind = Exposition::Kind;

std::string told(MetricsFormat format) {
    Exposition text{format};
    text.family(Kind::Counter, "reloads_total", "Reloads.");
    text.sample(3, {{"outcome", "ok"}});
    text.sample(0.25, {{"outcome", "a\\b\"c\nd"}, {"listener", "tcp://:1"}});
    return std::move(text).finish();
}

TEST(Exposition, a_counter_is_called_by_its_sample_in_one_format_and_by_its_family_in_the_other) {
    const std::string samples =
        "preforkd_reloads_total{outcome=\"ok\"} 3\n"
        "preforkd_reloads_total{outcome=\"a\\\\b\\\"c\\nd\",listener=\"tcp://:1\"} 0.25\n";
    EXPECT_EQ(told(MetricsFormat::Prometheus),
              "# HELP preforkd_reloads_total Reloads.\n# TYPE preforkd_reloads_total counter\n" + samples);
    EXPECT_EQ(told(MetricsFormat::OpenMetrics),
              "# HELP preforkd_reloads Reloads.\n# TYPE preforkd_reloads counter\n" + samples + "# EOF\n");
}

TEST(Exposition, large_counts_are_written_whole) {
    Exposition text{MetricsFormat::Prometheus};
    text.family(Kind::Gauge, "x", "X.");
    text.sample(9007199254740991.0);
    text.sample(1234567);
    EXPECT_NE(std::move(text).finish().find("preforkd_x 9007199254740991\npreforkd_x 1234567\n"), std::string::npos);
}

TEST(Exposition, the_format_is_what_was_asked_for) {
    EXPECT_EQ(format_for("application/openmetrics-text; version=1.0.0, text/plain"), MetricsFormat::OpenMetrics);
    EXPECT_EQ(format_for("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
              MetricsFormat::OpenMetrics);
    for (const std::string_view accept :
         {"application/openmetrics-text;q=0", "application/openmetrics-text; Q=0.0, */*",
          "application/openmetrics-text; q=0.4, text/plain; q=0.5", "text/plain, application/openmetrics-text;q=0.9"})
        EXPECT_EQ(format_for(accept), MetricsFormat::Prometheus) << accept;
    EXPECT_EQ(format_for("text/plain"), MetricsFormat::Prometheus);
    EXPECT_EQ(format_for(""), MetricsFormat::Prometheus);
}

}  // namespace
}  // namespace preforkd

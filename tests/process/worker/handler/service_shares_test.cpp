#include "daemon/worker/handler/service_shares.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>

#include "daemon/worker/handler/worker_core.hpp"

namespace preforkd {
namespace {

std::string refusal_of(const std::function<void()>& call) {
    try {
        call();
        return "";
    } catch (const std::logic_error& error) { return error.what(); }
}

TEST(ServiceShares, are_what_a_worker_gives_its_handlers) {
    const OwnAreas areas{true, true};
    const ServiceShares shares{areas.ends(), 1};
    WorkerCore core{{}, nullptr, &shares};
    auto& hits = core.worker().shared<std::atomic<long>>("hits");
    EXPECT_EQ(&hits, &core.worker().shared<std::atomic<long>>("hits"));
    ++hits;
    EXPECT_EQ(core.worker().shared<std::atomic<long>>("hits", 2), 0) << "another version";
    EXPECT_EQ(&core.worker().bus(), &core.worker().bus());
    std::string heard;
    core.worker().bus().subscribe("news", [&](std::string_view text) { heard = text; });
    Bus{core.worker()}.publish("news", "one");
    (void)shares.bus()->deliver([](const std::function<void()>& hear) { hear(); });
    EXPECT_EQ(heard, "one");
}

TEST(ServiceShares, last_as_long_as_a_server_does_over_all_its_servings) {
    const OwnAreas areas{true, false};
    for (const long expected : {1, 2}) {
        const ServiceShares shares{areas.ends(), 1};
        WorkerCore core{{}, nullptr, &shares};
        EXPECT_EQ(++core.worker().shared<std::atomic<long>>("hits"), expected);
    }
}

TEST(ServiceShares, a_handler_that_does_not_say_that_it_uses_them_is_told) {
    const OwnAreas areas{false, false};
    const ServiceShares shares{areas.ends(), 1};
    WorkerCore core{{}, nullptr, &shares};
    EXPECT_EQ(refusal_of([&] { (void)core.worker().shared<std::atomic<long>>("hits"); }),
              "Worker::shared(): its handler has to say static constexpr bool uses_shared_memory = true");
    EXPECT_EQ(refusal_of([&] { (void)core.worker().bus(); }),
              "Worker::bus(): its handler has to say static constexpr bool uses_bus = true");
}

}  // namespace
}  // namespace preforkd

#include "daemon/master/reload/reload_policy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using enum ReloadPhase;
using enum ReloadAction;

constexpr Clock::time_point limit{1'000'000s};
const Reload booting{.phase = Booting, .deadline = limit};
const Reload asked_again{.phase = Booting, .again = true, .deadline = limit};
const Reload waiting{.phase = Waiting};
const Reload loading{.phase = Loading};

void expect(const Reload& before, const ReloadEvent& event, const Reload& after,
            const std::vector<ReloadAction>& actions) {
    const ReloadStep result = step(before, event);
    EXPECT_EQ(result.next, after) << "phase " << static_cast<int>(before.phase) << " event " << event.index();
    EXPECT_EQ(result.actions, actions) << "phase " << static_cast<int>(before.phase) << " event " << event.index();
}

TEST(ReloadTable, a_reload_waits_for_space_then_loads_boots_and_commits) {
    expect({}, ReloadAsked{}, waiting, {});
    expect(waiting, GenerationAllowed{}, loading, {Load});
    expect(loading, LoadingGoesOn{}, loading, {GoOn});
    expect(loading, GenerationBooting{limit}, booting, {});
    expect(booting, GenerationReady{}, {}, {Commit});
}

TEST(ReloadTable, bad_settings_end_it_before_anything_is_forked) { expect(loading, GenerationRefused{}, {}, {}); }

TEST(ReloadTable, a_generation_that_does_not_become_ready_is_abandoned) {
    expect(booting, GenerationHopeless{}, {}, {Abandon});
    expect(booting, ReloadLate{}, {}, {Abandon});
}

TEST(ReloadTable, who_asks_while_a_generation_boots_gets_another_reload_after_it) {
    expect(booting, ReloadAsked{}, asked_again, {});
    expect(asked_again, ReloadAsked{}, asked_again, {});
    expect(asked_again, GenerationReady{}, waiting, {Commit});
    expect(asked_again, GenerationHopeless{}, waiting, {Abandon});
    expect(asked_again, ReloadLate{}, waiting, {Abandon});
}

TEST(ReloadTable, who_asks_while_settings_are_loaded_has_them_read_anew) {
    expect(loading, ReloadAsked{}, waiting, {GiveUp});
}

TEST(ReloadTable, force_ends_the_oldest_workers_in_any_phase) {
    expect({}, ReloadAsked{.force = true}, waiting, {EndOldest});
    expect(waiting, ReloadAsked{.force = true}, waiting, {EndOldest});
    expect(loading, ReloadAsked{.force = true}, waiting, {EndOldest, GiveUp});
    expect(booting, ReloadAsked{.force = true}, asked_again, {EndOldest});
}

TEST(ReloadTable, a_stop_ends_every_reload_and_no_other_follows) {
    expect({}, ServiceStops{}, {}, {});
    expect(waiting, ServiceStops{}, {}, {Refuse});
    expect(loading, ServiceStops{}, {}, {GiveUp, Refuse});
    expect(booting, ServiceStops{}, {}, {Abandon});
    expect(asked_again, ServiceStops{}, {}, {Abandon});
}

TEST(ReloadTable, conditions_of_another_phase_change_nothing) {
    const ReloadEvent space = GenerationAllowed{};
    const ReloadEvent goes_on = LoadingGoesOn{};
    const ReloadEvent boots = GenerationBooting{limit};
    const ReloadEvent refused = GenerationRefused{};
    const ReloadEvent ready = GenerationReady{};
    const ReloadEvent hopeless = GenerationHopeless{};
    const ReloadEvent late = ReloadLate{};
    for (const ReloadEvent& event : {space, goes_on, boots, refused, ready, hopeless, late}) expect({}, event, {}, {});
    for (const ReloadEvent& event : {goes_on, boots, refused, ready, hopeless, late})
        expect(waiting, event, waiting, {});
    for (const ReloadEvent& event : {space, ready, hopeless, late}) expect(loading, event, loading, {});
    for (const ReloadEvent& event : {space, goes_on, boots, refused}) expect(booting, event, booting, {});
}

}  // namespace
}  // namespace preforkd

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
const Reload asked_again{.phase = Booting, .then = Waiting, .deadline = limit};
const Reload forced_again{.phase = Booting, .then = Clearing, .deadline = limit};
const Reload waiting{.phase = Waiting};
const Reload clearing{.phase = Clearing};
const Reload loading{.phase = Loading};
constexpr Clock::time_point soon{1'000'001s};
const Reload leaving{.phase = Leaving, .deadline = soon};
const Reload leaving_asked_again{.phase = Leaving, .then = Waiting, .deadline = soon};

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
    expect(booting, GenerationReady{}, {.phase = Leaving}, {Commit});
    expect({.phase = Leaving}, GenerationLeaving{soon}, leaving, {});
    expect(leaving, OldQueuesLeft{}, {}, {Conclude});
}

TEST(ReloadTable, old_workers_that_do_not_hear_that_they_should_leave_are_not_waited_for_without_end) {
    expect(leaving, ReloadLate{}, {}, {Conclude});
}

TEST(ReloadTable, who_asks_while_old_workers_leave_gets_another_reload_after_it) {
    expect(leaving, ReloadAsked{}, leaving_asked_again, {});
    expect(leaving_asked_again, OldQueuesLeft{}, waiting, {Conclude});
    expect(leaving_asked_again, ReloadLate{}, waiting, {Conclude});
}

TEST(ReloadTable, a_stop_while_old_workers_leave_finds_the_reload_done_and_allows_no_other) {
    expect(leaving, ServiceStops{}, {}, {Conclude});
    expect(leaving_asked_again, ServiceStops{}, {}, {Conclude, Refuse});
}

TEST(ReloadTable, bad_settings_end_it_before_anything_is_forked) { expect(loading, GenerationRefused{}, {}, {}); }

TEST(ReloadTable, a_generation_that_does_not_become_ready_is_abandoned) {
    expect(booting, GenerationHopeless{}, {}, {Abandon});
    expect(booting, ReloadLate{}, {}, {Abandon});
}

TEST(ReloadTable, a_generation_boots_for_as_long_as_a_worker_of_it_has_asked_for) {
    expect(booting, BootExtended{soon}, {.phase = Booting, .deadline = soon}, {});
    expect(asked_again, BootExtended{soon}, {.phase = Booting, .then = Waiting, .deadline = soon}, {});
    expect(booting, BootExtended{limit - 1s}, booting, {});
    for (const Reload& other : {Reload{}, waiting, loading, leaving, Reload{.phase = Booting}})
        expect(other, BootExtended{soon}, other, {});
}

TEST(ReloadTable, who_asks_while_a_generation_boots_gets_another_reload_after_it) {
    expect(booting, ReloadAsked{}, asked_again, {});
    expect(asked_again, ReloadAsked{}, asked_again, {});
    expect(asked_again, GenerationReady{}, {.phase = Leaving, .then = Waiting}, {Commit});
    expect({.phase = Leaving, .then = Waiting}, GenerationLeaving{soon}, leaving_asked_again, {});
    expect(asked_again, GenerationHopeless{}, waiting, {Abandon});
    expect(asked_again, ReloadLate{}, waiting, {Abandon});
}

TEST(ReloadTable, who_asks_while_settings_are_loaded_has_them_read_anew) {
    expect(loading, ReloadAsked{}, waiting, {GiveUp});
}

TEST(ReloadTable, where_slots_lack_for_long_a_reload_is_refused_and_else_waits) {
    expect(waiting, SlotsLacking{}, waiting, {});
    expect(waiting, SlotsLacking{.for_long = true}, {}, {RefuseFull});
    for (const Reload& now : {Reload{}, loading, booting, asked_again})
        expect(now, SlotsLacking{.for_long = true}, now, {});
}

TEST(ReloadTable, with_force_the_oldest_workers_are_ended_while_slots_lack) {
    expect({}, ReloadAsked{.force = true}, clearing, {});
    expect(waiting, ReloadAsked{.force = true}, clearing, {});
    expect(loading, ReloadAsked{.force = true}, clearing, {GiveUp});
    for (const bool for_long : {false, true}) expect(clearing, SlotsLacking{for_long}, clearing, {EndOldest});
    expect(clearing, GenerationAllowed{}, loading, {Load});
}

TEST(ReloadTable, force_holds_until_the_settings_are_read_whoever_asks_besides) {
    expect(clearing, ReloadAsked{}, clearing, {});
    expect(booting, ReloadAsked{.force = true}, forced_again, {});
    expect(asked_again, ReloadAsked{.force = true}, forced_again, {});
    expect(forced_again, ReloadAsked{}, forced_again, {});
    expect(forced_again, GenerationReady{}, {.phase = Leaving, .then = Clearing}, {Commit});
    expect(forced_again, GenerationHopeless{}, clearing, {Abandon});
}

TEST(ReloadTable, a_stop_ends_every_reload_and_no_other_follows) {
    expect({}, ServiceStops{}, {}, {});
    for (const Reload& now : {waiting, clearing}) expect(now, ServiceStops{}, {}, {Refuse});
    expect(loading, ServiceStops{}, {}, {GiveUp, Refuse});
    expect(booting, ServiceStops{}, {}, {Abandon});
    expect(asked_again, ServiceStops{}, {}, {Abandon});
}

TEST(ReloadTable, conditions_of_another_phase_change_nothing) {
    const ReloadEvent space = GenerationAllowed{};
    const ReloadEvent lacking = SlotsLacking{.for_long = true};
    const ReloadEvent goes_on = LoadingGoesOn{};
    const ReloadEvent boots = GenerationBooting{limit};
    const ReloadEvent refused = GenerationRefused{};
    const ReloadEvent ready = GenerationReady{};
    const ReloadEvent hopeless = GenerationHopeless{};
    const ReloadEvent late = ReloadLate{};
    const ReloadEvent leave = GenerationLeaving{soon};
    const ReloadEvent left = OldQueuesLeft{};
    for (const ReloadEvent& event : {space, lacking, goes_on, boots, refused, ready, hopeless, late, leave, left})
        expect({}, event, {}, {});
    for (const ReloadEvent& event : {goes_on, boots, refused, ready, hopeless, late, leave, left})
        for (const Reload& now : {waiting, clearing}) expect(now, event, now, {});
    for (const ReloadEvent& event : {space, lacking, ready, hopeless, late, leave, left})
        expect(loading, event, loading, {});
    for (const ReloadEvent& event : {space, lacking, goes_on, boots, refused, leave, left})
        expect(booting, event, booting, {});
    for (const ReloadEvent& event : {space, lacking, goes_on, boots, refused, ready, hopeless})
        expect(leaving, event, leaving, {});
}

}  // namespace
}  // namespace preforkd

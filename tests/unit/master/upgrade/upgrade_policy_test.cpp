#include "daemon/master/upgrade/upgrade_policy.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using enum UpgradePhase;
using enum UpgradeAction;

constexpr Clock::time_point limit{1'000'000s};
const Upgrade waiting{.phase = Waiting};
const Upgrade rehearsing{.phase = Rehearsing, .deadline = limit};
const Upgrade rehearsed{.phase = Rehearsed};
const UpgradeEvent rests = PoolRests{.rehearsal_ends = limit};

void expect(const Upgrade& before, const UpgradeEvent& event, const Upgrade& after,
            const std::vector<UpgradeAction>& actions) {
    const UpgradeStep result = step(before, event);
    EXPECT_EQ(result.next, after) << "phase " << static_cast<int>(before.phase) << " event " << event.index();
    EXPECT_EQ(result.actions, actions) << "phase " << static_cast<int>(before.phase) << " event " << event.index();
}

TEST(UpgradeTable, an_upgrade_waits_for_a_pool_at_rest_then_rehearses_then_executes) {
    expect({}, UpgradeAsked{}, waiting, {});
    expect(waiting, rests, rehearsing, {Rehearse});
    expect(rehearsing, RehearsalPassed{}, rehearsed, {});
    expect(rehearsed, rests, rehearsed, {Execute});
}

TEST(UpgradeTable, a_failed_rehearsal_ends_it) { expect(rehearsing, RehearsalFailed{}, {}, {Refuse}); }

TEST(UpgradeTable, a_rehearsal_that_does_not_end_is_killed) {
    expect(rehearsing, RehearsalLate{}, {}, {KillRehearsal, Refuse});
}

TEST(UpgradeTable, an_exec_that_fails_ends_it) { expect(rehearsed, ExecFailed{}, {}, {Refuse}); }

TEST(UpgradeTable, where_slots_lack_for_long_it_is_refused) {
    for (const Upgrade& now : {waiting, rehearsed}) expect(now, NoSlots{}, {}, {Refuse});
    for (const Upgrade& now : {Upgrade{}, rehearsing}) expect(now, NoSlots{}, now, {});
}

TEST(UpgradeTable, asking_again_changes_nothing) {
    for (const Upgrade& now : {waiting, rehearsing, rehearsed}) expect(now, UpgradeAsked{}, now, {});
}

TEST(UpgradeTable, a_stop_ends_it_in_every_phase) {
    expect({}, UpgradeStops{}, {}, {});
    expect(waiting, UpgradeStops{}, {}, {Refuse});
    expect(rehearsing, UpgradeStops{}, {}, {KillRehearsal, Refuse});
    expect(rehearsed, UpgradeStops{}, {}, {Refuse});
}

TEST(UpgradeTable, what_belongs_to_another_phase_changes_nothing) {
    for (const UpgradeEvent& event : {rests, UpgradeEvent{RehearsalPassed{}}, UpgradeEvent{RehearsalFailed{}},
                                      UpgradeEvent{RehearsalLate{}}, UpgradeEvent{ExecFailed{}}})
        expect({}, event, {}, {});
    for (const UpgradeEvent& event : {UpgradeEvent{RehearsalPassed{}}, UpgradeEvent{RehearsalFailed{}},
                                      UpgradeEvent{RehearsalLate{}}, UpgradeEvent{ExecFailed{}}})
        expect(waiting, event, waiting, {});
    expect(rehearsing, rests, rehearsing, {});
    for (const UpgradeEvent& event :
         {UpgradeEvent{RehearsalPassed{}}, UpgradeEvent{RehearsalFailed{}}, UpgradeEvent{RehearsalLate{}}})
        expect(rehearsed, event, rehearsed, {});
}

}  // namespace
}  // namespace preforkd

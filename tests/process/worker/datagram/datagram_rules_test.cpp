#include "daemon/worker/datagram/datagram_rules.hpp"

#include <gmock/gmock.h>

#include "common/config/listen_settings.hpp"

namespace preforkd {
namespace {

using testing::ElementsAre;

/// The plan of a daemon that listens where `listen` says.
struct Planned {
    explicit Planned(std::initializer_list<std::string> listen) {
        for (const std::string& each : listen) {
            settings.listen.push_back(parse_listen(each));
            listeners.push_back({.settings = settings.listen.back(), .local = settings.listen.back().endpoint});
        }
        handlers.add({.name = "own"});
    }

    [[nodiscard]] DatagramRules rules(std::size_t listener = 0) const {
        return datagram_rules(plan, listeners.at(listener));
    }

    Settings settings{};
    Handlers handlers = builtin_handlers();
    std::vector<Listener> listeners{};
    WorkerPlan plan{.settings = settings, .handlers = handlers, .listeners = listeners};
};

TEST(DatagramRules, a_handler_that_answers_anything_does_not_amplify) {
    for (const char* handler : {"greet", "echo", "daytime", "chargen"}) {
        const DatagramRules rules = Planned{std::string{"udp://:7007 handler="} + handler}.rules();
        EXPECT_TRUE(rules.handler_answers_anything) << handler;
        EXPECT_FALSE(rules.amplifies) << handler;
    }
}

TEST(DatagramRules, any_other_handler_is_not) {
    for (const char* handler : {"print", "discard", "own"}) {
        const DatagramRules rules = Planned{std::string{"udp://:7007 handler="} + handler}.rules();
        EXPECT_FALSE(rules.handler_answers_anything) << handler;
        EXPECT_TRUE(rules.amplifies) << handler;
    }
}

TEST(DatagramRules, the_keys_of_the_listener_have_the_last_word) {
    const Planned planned{"udp://:7007 handler=echo amplify=yes", "udp://:7008 handler=own amplify=no"};
    EXPECT_TRUE(planned.rules(0).amplifies);
    EXPECT_FALSE(planned.rules(1).amplifies);
}

TEST(DatagramRules, nothing_is_cut_where_no_source_can_be_forged) {
    const DatagramRules rules = Planned{"unixgram:///run/x handler=echo"}.rules();
    EXPECT_TRUE(rules.amplifies);
}

TEST(DatagramRules, our_datagram_listeners_are_not_served) {
    const Planned planned{"udp://:7007 handler=own", "tcp://:7008", "udp://:7009", "unixgram:///run/x",
                          "unixgram://@x"};
    const DatagramRules rules = planned.rules();
    EXPECT_THAT(rules.own_ports, ElementsAre(7007, 7009));
    SourceCheck check{rules};
    const auto fault_of = [&](const Endpoint& source) {
        return check.fault_of(resolve(source).at(0), resolve(parse_endpoint("udp://198.51.100.1:7007")).at(0));
    };
    EXPECT_EQ(fault_of(parse_endpoint("udp://127.0.0.1:7009")), SourceFault::OwnListener);
    EXPECT_EQ(fault_of(parse_endpoint("udp://198.51.100.1:7009")), SourceFault::OwnListener) << "where it was sent to";
    EXPECT_EQ(fault_of(parse_endpoint("udp://198.51.100.2:7009")), std::nullopt);
    EXPECT_EQ(fault_of(parse_endpoint("udp://127.0.0.1:7008")), std::nullopt);
    EXPECT_EQ(fault_of(parse_endpoint("unixgram:///run/x")), SourceFault::OwnListener);
    EXPECT_EQ(fault_of(parse_endpoint("unixgram://@x")), SourceFault::OwnListener);
    EXPECT_EQ(fault_of(parse_endpoint("unixgram:///run/y")), std::nullopt);
    EXPECT_EQ(check.fault_of({}, {}), std::nullopt) << "a Unix sender without an address";
}

}  // namespace
}  // namespace preforkd

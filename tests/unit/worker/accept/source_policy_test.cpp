#include "daemon/worker/accept/source_policy.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace preforkd {
namespace {

constexpr HostAddress here = ipv4_host(0xc0'00'02'01);
constexpr HostAddress elsewhere = ipv4_host(0xc0'00'02'02);
constexpr HostAddress multicast = ipv4_host(0xe0'00'00'fb);
constexpr HostAddress broadcast = ipv4_host(0xff'ff'ff'ff);
constexpr HostAddress here6{.high = 0x2001'0db8'0000'0000, .low = 1};
constexpr HostAddress elsewhere6{.high = 0x2001'0db8'0000'0000, .low = 2};
constexpr HostAddress multicast6{.high = 0xff02'0000'0000'0000, .low = 1};

constexpr std::array<std::uint16_t, 2> own_ports{7007, 7};
constexpr auto is_local = [](const HostAddress& host) { return host == here || host == here6; };

enum class Handler { Own, AnswersAnything };

struct Case {
    HostAddress host;
    std::uint16_t port;
    Handler handler;
    std::optional<SourceFault> fault;
};

constexpr Case cases[]{
    // a client
    {here, 40000, Handler::AnswersAnything, std::nullopt},
    {elsewhere, 40000, Handler::AnswersAnything, std::nullopt},
    {elsewhere6, 1, Handler::AnswersAnything, std::nullopt},
    // our own listeners, whoever serves them
    {here, 7007, Handler::AnswersAnything, SourceFault::OwnListener},
    {here, 7007, Handler::Own, SourceFault::OwnListener},
    {here6, 7007, Handler::Own, SourceFault::OwnListener},
    {here, 7, Handler::Own, SourceFault::OwnListener},
    // the same port of another host
    {elsewhere, 7007, Handler::AnswersAnything, std::nullopt},
    {elsewhere6, 7007, Handler::AnswersAnything, std::nullopt},
    // what no host sends
    {here, 0, Handler::Own, SourceFault::NoPort},
    {elsewhere6, 0, Handler::AnswersAnything, SourceFault::NoPort},
    {multicast, 40000, Handler::Own, SourceFault::NotOneHost},
    {multicast6, 40000, Handler::Own, SourceFault::NotOneHost},
    {broadcast, 40000, Handler::Own, SourceFault::NotOneHost},
    {{}, 40000, Handler::Own, SourceFault::NotOneHost},
    // services that answer anything may talk to one that knows what it answers
    {elsewhere, 7, Handler::AnswersAnything, SourceFault::AnsweringPort},
    {elsewhere, 13, Handler::AnswersAnything, SourceFault::AnsweringPort},
    {elsewhere, 19, Handler::AnswersAnything, SourceFault::AnsweringPort},
    {elsewhere, 53, Handler::AnswersAnything, SourceFault::AnsweringPort},
    {elsewhere6, 123, Handler::AnswersAnything, SourceFault::AnsweringPort},
    {elsewhere, 53, Handler::Own, std::nullopt},
    {elsewhere, 123, Handler::Own, std::nullopt},
    {elsewhere, 54, Handler::AnswersAnything, std::nullopt},
};

TEST(SourcePolicy, says_of_each_source_what_is_wrong_with_it) {
    for (const Case& each : cases)
        EXPECT_EQ(judge_source({.host = each.host, .port = each.port}, own_ports,
                               each.handler == Handler::AnswersAnything, is_local),
                  each.fault)
            << std::hex << each.host.high << ':' << each.host.low << std::dec << " port " << each.port;
}

TEST(SourcePolicy, asks_whether_an_address_is_local_only_for_a_port_of_ours) {
    int asked = 0;
    const auto ask = [&](const HostAddress&) { return ++asked > 0; };
    EXPECT_EQ(judge_source({.host = here, .port = 40000}, own_ports, true, ask), std::nullopt);
    EXPECT_EQ(asked, 0);
    EXPECT_EQ(judge_source({.host = here, .port = 7007}, own_ports, true, ask), SourceFault::OwnListener);
    EXPECT_EQ(asked, 1);
}

TEST(SourcePolicy, has_words_for_every_fault) {
    for (std::size_t fault = 0; fault < source_faults; ++fault)
        EXPECT_FALSE(describe(static_cast<SourceFault>(fault)).empty());
    EXPECT_TRUE(describe(static_cast<SourceFault>(source_faults)).empty());
}

}  // namespace
}  // namespace preforkd

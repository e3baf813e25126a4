#include "daemon/ctl/ctl_options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using enum ControlCommand;
using testing::AllOf;
using testing::HasSubstr;
using Texts = std::vector<std::string>;

ControlOrder read_control_options(const Texts& arguments) { return read_control_order(parse_command_line(arguments)); }

SendRequest read_send_options(Texts arguments) {
    arguments.insert(arguments.begin(), "send");
    return read_send_request(parse_command_line(arguments));
}

/// What reading them throws; empty if they are taken.
template <class Read>
std::string refusal_of(Read read, const Texts& arguments) {
    try {
        (void)read(arguments);
        return {};
    } catch (const std::invalid_argument& error) { return error.what(); }
}

std::string send_refusal(const Texts& arguments) { return refusal_of(read_send_options, arguments); }
std::string order_refusal(const Texts& arguments) { return refusal_of(read_control_options, arguments); }

std::string refusal_behind_endpoint(Texts arguments) {
    arguments.insert(arguments.begin(), "tcp://h:1");
    return send_refusal(arguments);
}

TEST(OptionsSend, an_endpoint_alone_has_the_classic_defaults) {
    const SendRequest request = read_send_options({"tcp://localhost:7"});
    EXPECT_EQ(to_string(request.endpoint), "tcp://localhost:7");
    EXPECT_EQ(request.text, "hello from client");
    EXPECT_EQ(request.expect, std::nullopt);
    EXPECT_EQ(request.timeout, 5s);
    EXPECT_FALSE(request.no_reply);
    EXPECT_FALSE(request.verbose);
}

TEST(OptionsSend, a_client_can_be_announced) {
    EXPECT_EQ(read_send_options({":7"}).proxy, std::nullopt);
    EXPECT_EQ(read_send_options({":7", "--proxy", "v1"}).proxy, (ProxyRequest{.version = ProxyVersion::V1}));
    const Endpoint source{.transport = Transport::Tcp, .host = "192.0.2.1", .port = 1234};
    EXPECT_EQ(read_send_options({"tls://h:7", "--proxy", "v2", "--proxy-source", "192.0.2.1:1234"}).proxy,
              (ProxyRequest{.version = ProxyVersion::V2, .source = source}));
    EXPECT_EQ(read_send_options({":7", "--proxy=v1", "--proxy-source=[2001:db8::1]:0"}).proxy->source->host,
              "2001:db8::1");
    EXPECT_EQ(read_send_options({"udp://:7", "--proxy", "v2"}).proxy, (ProxyRequest{.version = ProxyVersion::V2}));
    for (const char* version : {"", "1", "V2", "v3"})
        EXPECT_THAT(refusal_behind_endpoint({"--proxy", version}), HasSubstr("--proxy: expected v1 or v2"));
    for (const char* none : {"", "192.0.2.1", "192.0.2.1:", "h:1", "2001:db8::1", "[fe80::1%lo]:1", "192.0.2.1:65536",
                             "192.0.2.0/24:1", "unix:///x"})
        EXPECT_THAT(refusal_behind_endpoint({"--proxy", "v2", "--proxy-source", none}),
                    HasSubstr("--proxy-source: expected an address with its port"))
            << none;
    EXPECT_THAT(refusal_behind_endpoint({"--proxy-source", "192.0.2.1:1"}), HasSubstr("--proxy v1 or v2"));
    for (const char* endpoint : {"udp://:7", "unixgram:///x"})
        EXPECT_THAT(send_refusal({endpoint, "--proxy", "v1"}), HasSubstr("takes v2"));
}

TEST(OptionsSend, every_option_is_read_wherever_it_stands) {
    const SendRequest request =
        read_send_options({"--timeout", "1m30s", ":7", "--expect=connected", "a text", "--verbose"});
    EXPECT_EQ(to_string(request.endpoint), "tcp://:7");
    EXPECT_EQ(request.text, "a text");
    EXPECT_EQ(request.expect, "connected");
    EXPECT_EQ(request.timeout, 90s);
    EXPECT_TRUE(request.verbose);
    EXPECT_TRUE(read_send_options({"-v", ":7"}).verbose);
    EXPECT_TRUE(read_send_options({"udp://h:1", "--no-reply"}).no_reply);
}

TEST(OptionsSend, all_four_transports_are_spoken) {
    for (const std::string endpoint :
         {"tcp://h:1", "udp://[::1]:1", "unix:///run/x", "unix://@x", "unixgram:///run/x", "unixgram://@x"})
        EXPECT_EQ(to_string(read_send_options({endpoint}).endpoint), endpoint);
}

TEST(OptionsSend, a_dash_is_standard_input) { EXPECT_EQ(read_send_options({":7", "-"}).text, std::nullopt); }

TEST(OptionsSend, an_empty_text_is_a_text) { EXPECT_EQ(read_send_options({":7", ""}).text, ""); }

TEST(OptionsSend, two_dashes_make_words_of_what_follows) {
    EXPECT_EQ(read_send_options({":7", "--", "--verbose"}).text, "--verbose");
    EXPECT_EQ(read_send_options({"--timeout=0", "--", ":7", "-x"}).text, "-x");
}

TEST(OptionsSend, an_expectation_may_look_like_an_option) {
    EXPECT_EQ(read_send_options({":7", "--expect=--verbose"}).expect, "--verbose");
    EXPECT_EQ(read_send_options({":7", "--expect", "-x"}).expect, "-x");
}

TEST(OptionsSend, what_is_missing_is_named) {
    EXPECT_THAT(send_refusal({}), HasSubstr("name an endpoint, such as tcp://"));
    EXPECT_THAT(refusal_behind_endpoint({"--timeout"}), HasSubstr("write --timeout TIME"));
    EXPECT_THAT(refusal_behind_endpoint({"--expect"}), HasSubstr("write --expect TEXT"));
    EXPECT_THAT(refusal_behind_endpoint({"--expect", "--verbose"}), HasSubstr("if it is meant: --expect=--verbose"));
    EXPECT_THAT(refusal_behind_endpoint({"--expect", ""}), HasSubstr("every answer contains"));
    EXPECT_THAT(send_refusal({"tcp://localhost"}), HasSubstr("no port"));
}

TEST(OptionsSend, a_mistyped_option_is_answered_with_the_right_one) {
    EXPECT_THAT(refusal_behind_endpoint({"--verbos"}), HasSubstr("did you mean --verbose?"));
    EXPECT_THAT(refusal_behind_endpoint({"-t", "3s"}), HasSubstr("did you mean --timeout?"));
    EXPECT_THAT(refusal_behind_endpoint({"--time-out=3s"}), HasSubstr("did you mean --timeout?"));
    EXPECT_THAT(refusal_behind_endpoint({"--noreply"}), HasSubstr("did you mean --no-reply?"));
    EXPECT_THAT(refusal_behind_endpoint({"--colour", "red"}), HasSubstr("unknown option \"--colour\""));
}

TEST(OptionsSend, a_text_that_begins_with_a_dash_is_told_where_to_stand) {
    EXPECT_THAT(refusal_behind_endpoint({"-hello"}), HasSubstr("send ENDPOINT -- TEXT"));
}

TEST(OptionsSend, a_flag_takes_no_value) {
    EXPECT_THAT(refusal_behind_endpoint({"--verbose=yes"}), HasSubstr("write --verbose"));
}

TEST(OptionsSend, an_option_is_given_once) {
    EXPECT_THAT(refusal_behind_endpoint({"--timeout", "1s", "--timeout", "2s"}), HasSubstr("given twice"));
    EXPECT_THAT(refusal_behind_endpoint({"--verbose", "--verbose"}), HasSubstr("given twice"));
}

TEST(OptionsSend, a_timeout_that_is_no_duration_is_answered_with_examples) {
    for (const std::string wrong : {"soon", "-5", "", "5 minutes", "0.5s"})
        EXPECT_THAT(refusal_behind_endpoint({"--timeout", wrong}), AllOf(HasSubstr("--timeout: "), HasSubstr("500ms")))
            << wrong;
}

TEST(OptionsSend, words_in_the_wrong_place_are_told_apart) {
    EXPECT_THAT(refusal_behind_endpoint({"two", "words"}), HasSubstr("quote a TEXT of several words"));
    EXPECT_THAT(send_refusal({"hello", "tcp://h:1"}), HasSubstr("the endpoint stands before the text"));
    EXPECT_THAT(send_refusal({"localhost:1"}), HasSubstr("write tcp://localhost:1"));
}

TEST(OptionsSend, an_endpoint_where_nobody_can_listen_is_refused) {
    EXPECT_THAT(send_refusal({"tcp://h:0"}), HasSubstr("port 0"));
    EXPECT_THAT(send_refusal({"udp://h:0"}), HasSubstr("port 0"));
    EXPECT_THAT(send_refusal({"fd://web"}), HasSubstr("fd://"));
}

TEST(OptionsSend, forms_that_it_does_not_take_are_not_offered) {
    for (const char* word : {"foo", "", "http://h:1", "tls+udp://h:1"}) {
        EXPECT_THAT(send_refusal({word}), HasSubstr("tls://HOST:PORT")) << word;
        EXPECT_THAT(send_refusal({word}), Not(HasSubstr("fd://"))) << word;
    }
}

TEST(OptionsTls, the_address_is_the_endpoint_and_whom_to_expect) {
    const SendRequest request = read_send_options({"tls://a.example:443"});
    EXPECT_EQ(to_string(request.endpoint), "tcp://a.example:443");
    EXPECT_EQ(to_string(request), "tls://a.example:443");
    ASSERT_TRUE(request.tls);
    EXPECT_FALSE(request.tls->insecure);
    EXPECT_EQ(request.tls->authorities, std::nullopt);
    const auto name_for = [](const std::string& endpoint) { return read_send_options({endpoint}).tls->server_name; };
    EXPECT_EQ(name_for("tls://a.example:1"), "a.example");
    EXPECT_EQ(name_for("tls://a.example.:1"), "a.example");
    EXPECT_EQ(name_for("tls://:1"), "localhost");
    EXPECT_EQ(name_for("tls://[fe80::1%eth0]:1"), "fe80::1");
    EXPECT_FALSE(read_send_options({"tcp://h:1"}).tls);
}

TEST(OptionsTls, every_option_is_read) {
    const TlsRequest tls = *read_send_options({"tls+unix:///x", "--ca", "a", "--cert", "c", "--key", "k",
                                               "--servername", "B.Example", "--alpn", "h2,http/1.1"})
                                .tls;
    EXPECT_EQ(tls.authorities, "a");
    EXPECT_EQ(tls.certificate, "c");
    EXPECT_EQ(tls.key, "k");
    EXPECT_EQ(tls.server_name, "b.example");
    EXPECT_THAT(tls.alpn, testing::ElementsAre("h2", "http/1.1"));
    EXPECT_EQ(read_send_options({"tls://a:1", "--servername", "2001:DB8::1"}).tls->server_name, "2001:db8::1");
    EXPECT_EQ(read_send_options({"tls+unix:///x", "--insecure"}).tls->server_name, "");
}

TEST(OptionsTls, what_contradicts_or_is_missing_is_named) {
    for (const char* option : {"--ca=x", "--cert=x", "--key=x", "--servername=x", "--alpn=x", "--insecure"})
        EXPECT_THAT(refusal_behind_endpoint({option}), HasSubstr("is for tls:// and tls+unix://; tcp://h:1")) << option;
    EXPECT_THAT(send_refusal({"tls://h:1", "--insecure", "--ca", "x"}), HasSubstr("--insecure: contradicts --ca"));
    EXPECT_THAT(send_refusal({"tls://h:1", "--key", "x"}), HasSubstr("--cert FILE"));
    EXPECT_THAT(send_refusal({"tls+unix:///x"}), HasSubstr("--servername: a path is no name"));
    EXPECT_THAT(send_refusal({"tls+unix:///x", "--servername", "*.x"}),
                HasSubstr("--servername: expected a host name"));
    for (const std::string& name : {std::string{}, std::string{"a,"}, std::string(256, 'a')})
        EXPECT_THAT(send_refusal({"tls://h:1", "--alpn=" + name}), HasSubstr("--alpn: expected names of protocols"));
    EXPECT_THAT(send_refusal({"tls://h:1", "--no-reply"}), HasSubstr("the answer of tls://h:1 ends by itself"));
}

TEST(OptionsTls, what_is_wrong_with_an_endpoint_is_said_of_what_was_written) {
    EXPECT_EQ(send_refusal({"tls://h"}), R"("tls://h" has no port; expected tls://HOST:PORT)");
    EXPECT_THAT(send_refusal({"tls://h:0"}), HasSubstr("port 0"));
    EXPECT_THAT(send_refusal({"tls+unix://x"}), HasSubstr("expected tls+unix:///PATH"));
    EXPECT_THAT(send_refusal({"tls+udp://h:1"}), HasSubstr("expected tls://HOST:PORT"));
    EXPECT_THAT(send_refusal({"tls+fd://x"}), HasSubstr("fd://"));
    EXPECT_THAT(send_refusal({"hello", "tls://h:1"}), HasSubstr("the endpoint stands before the text"));
}

TEST(OptionsSend, no_reply_is_for_datagrams_without_an_expectation) {
    EXPECT_THAT(send_refusal({"tcp://h:1", "--no-reply"}), HasSubstr("is for udp and unixgram"));
    EXPECT_THAT(send_refusal({"unix:///x", "--no-reply"}), HasSubstr("is for udp and unixgram"));
    EXPECT_THAT(send_refusal({"udp://h:1", "--no-reply", "--expect", "x"}), HasSubstr("contradicts --expect"));
}

TEST(OptionsSend, a_refusal_is_one_line_whatever_was_typed) {
    for (const std::string wrong : {"a\nb", "--\n", "-\n", "tcp://\n:1", "\x1b[31m"}) {
        EXPECT_EQ(send_refusal({wrong}).find_first_of("\n\x1b"), std::string::npos) << send_refusal({wrong});
        EXPECT_EQ(refusal_behind_endpoint({"--timeout", wrong}).find_first_of("\n\x1b"), std::string::npos);
        EXPECT_EQ(refusal_behind_endpoint({"--" + wrong, "x", "y"}).find_first_of("\n\x1b"), std::string::npos);
        EXPECT_EQ(refusal_behind_endpoint({"x", wrong}).find_first_of("\n\x1b"), std::string::npos);
    }
}

TEST(OptionsControl, a_command_alone_has_the_defaults) {
    const ControlOrder order = read_control_options({"status"});
    EXPECT_EQ(order.request, ControlRequest{.command = Status});
    EXPECT_EQ(order.control, std::nullopt);
    EXPECT_EQ(order.timeout, 5s);
    EXPECT_FALSE(order.json || order.watch);
}

TEST(OptionsControl, ready_is_asked_by_its_own_name) {
    const ControlOrder order = read_control_options({"ready", "--timeout", "3s"});
    EXPECT_EQ(order.request, ControlRequest{.command = Ready});
    EXPECT_EQ(order.timeout, 3s);
    for (const char* option : {"--json", "--watch", "--force"})
        EXPECT_THAT(order_refusal({"ready", option}), HasSubstr("does not go with ready")) << option;
}

TEST(OptionsControl, what_takes_its_time_is_given_it) {
    for (const char* command : {"reload", "upgrade", "stop"})
        EXPECT_EQ(read_control_options({command}).timeout, 5min) << command;
    EXPECT_EQ(read_control_options({"stop", "--timeout", "1s"}).timeout, 1s);
}

TEST(OptionsControl, options_stand_anywhere_behind_the_command) {
    EXPECT_EQ(read_control_options({"workers", "--timeout=2s", "4"}).request,
              (ControlRequest{.command = Workers, .workers = 4}));
    EXPECT_TRUE(read_control_options({"reload", "--force"}).request.force);
    const ControlOrder order = read_control_options({"status", "--watch", "--json", "--control", "unix://@x"});
    EXPECT_TRUE(order.watch && order.json);
    EXPECT_EQ(to_string(order.control.value()), "unix://@x");
}

TEST(OptionsControl, an_option_that_does_not_go_with_the_command_is_refused) {
    EXPECT_THAT(order_refusal({"stop", "--force"}), HasSubstr("--force: does not go with stop"));
    EXPECT_THAT(order_refusal({"deaths", "--watch"}), HasSubstr("--watch: does not go with deaths"));
    EXPECT_THAT(order_refusal({"reload", "--json"}), HasSubstr("--json: does not go with reload"));
    EXPECT_THAT(order_refusal({"status", "--jsno"}), HasSubstr("did you mean --json?"));
    EXPECT_THAT(order_refusal({"status", "--json=yes"}), HasSubstr("--json: takes no value"));
    EXPECT_THAT(order_refusal({"status", "--control"}), HasSubstr("--control: has no value"));
    EXPECT_THAT(order_refusal({"status", "--control", "--json"}), HasSubstr("is an option"));
    EXPECT_THAT(order_refusal({"status", "--control", "tcp://:1"}), HasSubstr("--control: expected unix:///PATH"));
    EXPECT_THAT(order_refusal({"status", "--timeout", "soon"}), HasSubstr("not a duration"));
    EXPECT_THAT(order_refusal({"status", "--json", "--json"}), HasSubstr("given twice"));
}

TEST(OptionsControl, those_who_look_again_ask_for_the_status) {
    for (const char* const command : {"explain", "top"}) {
        const ControlOrder order = read_control_options({command, "--interval", "200ms"});
        EXPECT_EQ(order.request.command, Status);
        EXPECT_EQ(order.interval, 200ms);
        EXPECT_EQ(read_control_options({command}).interval, 1s);
        EXPECT_THAT(order_refusal({command, "now"}), HasSubstr("\"now\" is one word too many"));
        for (const char* const interval : {"99ms", "0", "61m", "soon"})
            EXPECT_THAT(order_refusal({command, "--interval", interval}), HasSubstr("from 100ms to 1h"));
    }
    const ControlOrder order = read_control_options({"top", "-b", "-n", "3"});
    EXPECT_TRUE(order.batch);
    EXPECT_EQ(order.looks, 3U);
    EXPECT_EQ(read_control_options({"top"}).looks, std::nullopt);
    for (const char* const looks : {"0", "-1", "many", ""})
        EXPECT_THAT(order_refusal({"top", "--looks", looks}), HasSubstr("--looks: expected a number from 1 on"));
    EXPECT_THAT(order_refusal({"explain", "--batch"}), HasSubstr("--batch: does not go with explain"));
    EXPECT_THAT(order_refusal({"status", "--interval", "1s"}), HasSubstr("--interval: does not go with status"));
}

TEST(OptionsControl, words_are_refused_as_the_daemon_would) {
    EXPECT_THAT(order_refusal({"status", "now"}), HasSubstr("one word too many"));
    EXPECT_THAT(order_refusal({"workers"}), HasSubstr("say how many"));
    EXPECT_THAT(order_refusal({"workers", "none"}), HasSubstr("from 1 to 1024"));
}

TEST(OptionsControl, the_daemon_is_where_the_option_or_else_the_environment_says) {
    const ControlOrder plain = read_control_options({"status"});
    const ControlOrder named = read_control_options({"status", "--control", "unix:///a"});
    const ControlOrder called = read_control_options({"status", "-i", "web"});
    EXPECT_EQ(to_string(control_of(named, "unix:///b", "/c").value()), "unix:///a");
    EXPECT_EQ(to_string(control_of(plain, "unix:///b", "/c").value()), "unix:///b");
    EXPECT_EQ(to_string(control_of(plain, "", "/c").value()), "unix:///c/control.sock");
    EXPECT_EQ(control_of(plain, nullptr, nullptr), std::nullopt);
    EXPECT_EQ(control_of(called, "unix:///b", "/c"), std::nullopt);
    EXPECT_EQ(called.instance, "web");
    EXPECT_THAT(order_refusal({"status", "-i", "web", "--control", "unix:///a"}), HasSubstr("contradicts --control"));
    EXPECT_THROW((void)control_of(plain, "off", nullptr), std::invalid_argument);
}

}  // namespace
}  // namespace preforkd

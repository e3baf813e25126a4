#include "daemon/ctl/certificate_order.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace preforkd {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using Texts = std::vector<std::string>;

CertificateOrder order_of(Texts arguments) {
    arguments.insert(arguments.begin(), "certificate");
    return read_certificate_order(parse_command_line(arguments));
}

std::string order_refused(const Texts& arguments) {
    try {
        (void)order_of(arguments);
        return {};
    } catch (const std::invalid_argument& error) { return error.what(); }
}

TEST(CertificateOrder, localhost_is_this_machine_by_each_of_its_addresses) {
    const CertificateOrder order = order_of({"localhost"});
    EXPECT_THAT(order.names, ElementsAre("localhost", "127.0.0.1", "::1"));
    EXPECT_EQ(order.prefix, "localhost");
    EXPECT_EQ(order.valid, std::chrono::days{365});
    EXPECT_THAT(order_of({"::1", "LOCALHOST"}).names, ElementsAre("::1", "localhost", "127.0.0.1"));
    EXPECT_THAT(order_of({"a.example"}).names, ElementsAre("a.example"));
}

TEST(CertificateOrder, a_name_is_certified_once_in_one_form) {
    EXPECT_THAT(order_of({"A.Example", "a.example", "2001:DB8:0::1", "2001:db8::1", "::ffff:192.0.2.1"}).names,
                ElementsAre("a.example", "2001:db8::1", "192.0.2.1"));
}

TEST(CertificateOrder, the_files_are_called_after_the_first_name_or_as_is_said) {
    EXPECT_EQ(order_of({"a.example", "b.example"}).prefix, "a.example");
    EXPECT_EQ(order_of({"*.a.example"}).prefix, "_wildcard.a.example");
    EXPECT_EQ(order_of({"::1"}).prefix, "__1");
    EXPECT_EQ(order_of({"a", "--out", "/etc/x/server"}).prefix, "/etc/x/server");
    EXPECT_EQ(order_of({"a", "--out", "/etc/x/server.pem"}).prefix, "/etc/x/server");
    EXPECT_EQ(order_of({"a", "--out", "/etc/x/"}).prefix, "/etc/x/a");
    EXPECT_THAT(order_refused({"a", "--out="}), HasSubstr("--out: expected the path of both files"));
}

TEST(CertificateOrder, a_server_is_asked_for_by_a_name_that_it_has) {
    EXPECT_EQ(host_to_ask(order_of({"a.example", "localhost"})), "localhost");
    EXPECT_EQ(host_to_ask(order_of({"*.example", "a.example"})), "a.example");
    EXPECT_EQ(host_to_ask(order_of({"*.example"})), "");
}

TEST(CertificateOrder, what_no_client_would_ask_for_is_refused) {
    for (const std::string name : {"",
                                   "https://localhost",
                                   "tls://:1",
                                   "localhost:443",
                                   "[::1]",
                                   "127.0.0.1/8",
                                   "127.1",
                                   "300.1.1.1",
                                   "a..b",
                                   ".a",
                                   "a.",
                                   "-a",
                                   "a-",
                                   "a b",
                                   "a,DNS:b",
                                   "*",
                                   "a.*",
                                   "*a.example",
                                   "a.*.example",
                                   "\xc3\xa4.example",
                                   "a\n"})
        EXPECT_THAT(order_refused({"--", name}), AllOf(HasSubstr("certificate: expected a host name or an IP address"),
                                                       testing::Not(HasSubstr("\n"))))
            << name;
    EXPECT_THAT(order_refused({std::string(64, 'a')}), HasSubstr("expected a host name"));
    EXPECT_EQ(order_refused({std::string(63, 'a').append(".example")}), "");
    EXPECT_THAT(order_refused({}), HasSubstr("preforkctl certificate localhost"));
}

TEST(CertificateOrder, it_is_valid_for_a_number_of_days) {
    EXPECT_EQ(order_of({"a", "--days", "90"}).valid, std::chrono::days{90});
    for (const char* days : {"0", "-1", "3651", "1y", ""})
        EXPECT_THAT(order_refused({"a", std::string{"--days="} + days}), HasSubstr("--days: expected a number from 1"))
            << days;
}

}  // namespace
}  // namespace preforkd

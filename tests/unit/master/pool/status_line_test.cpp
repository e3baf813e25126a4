#include "daemon/master/pool/status_line.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

TEST(StatusLine, a_pool_at_work_says_who_has_clients) {
    EXPECT_EQ(status_line({.target = 8, .idle = 6, .with_clients = 2, .connections = 2, .served = 1234}),
              "8 workers: 6 idle, 2 with clients; requests: 2 open, 1234 served");
}

TEST(StatusLine, of_copies_nobody_knows_who_is_busy) {
    EXPECT_EQ(status_line({.target = 2, .starting = 1, .idle = 2, .replaced = 1, .of_copies = true}),
              "2 workers: 2 running, 1 starting; 1 worker replaced");
}

TEST(StatusLine, one_is_singular) {
    EXPECT_EQ(status_line({.target = 1, .idle = 0, .with_clients = 1, .connections = 1, .served = 1}),
              "1 worker: 0 idle, 1 with clients; requests: 1 open, 1 served");
    EXPECT_EQ(status_line({.target = 1, .idle = 1, .replaced = 1, .dropped_log_lines = 1}),
              "1 worker: 1 idle, 0 with clients; requests: 0 open, 0 served; 1 worker replaced; 1 log line dropped");
}

TEST(StatusLine, what_else_is_not_zero_is_said) {
    EXPECT_EQ(status_line({.target = 4,
                           .starting = 1,
                           .idle = 2,
                           .with_clients = 0,
                           .leaving = 3,
                           .stopped = 1,
                           .connections = 0,
                           .served = 0,
                           .replaced = 5,
                           .dropped_log_lines = 6}),
              "4 workers: 2 idle, 0 with clients, 1 starting, 3 leaving, 1 stopped; requests: 0 open, 0 served; 5 "
              "workers replaced; "
              "6 log lines dropped");
}

TEST(StatusLine, it_is_one_line) {
    EXPECT_EQ(status_line({}).find('\n'), std::string::npos);  // systemd takes one line for STATUS=
}

}  // namespace
}  // namespace preforkd

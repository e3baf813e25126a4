#include "daemon/startup/capacity.hpp"

#include <gtest/gtest.h>

#include <initializer_list>

namespace preforkd {
namespace {

TEST(Capacity, each_model_has_its_own_number_of_connections) {
    EXPECT_EQ(wanted_connections({}, Model::Async), 1024u);
    EXPECT_EQ(wanted_connections({}, Model::Serial), 1u);
    EXPECT_EQ(wanted_connections({}, Model::Thread), 40u);
    EXPECT_EQ(wanted_connections({}, Model::Fork), 40u);
}

TEST(Capacity, the_operator_decides_except_for_serial) {
    for (const Model model : {Model::Async, Model::Thread, Model::Fork})
        EXPECT_EQ(wanted_connections(7, model), 7u) << to_string(model);
    EXPECT_EQ(wanted_connections(7, Model::Serial), 1u);
}

TEST(Capacity, enough_descriptors_leave_the_wish_as_it_is) {
    const Capacity capacity = fit_capacity(1024, 1'048'576, 1);
    EXPECT_EQ(capacity.connections, 1024u);
    EXPECT_EQ(capacity.parked, 1024u);
}

TEST(Capacity, the_usual_limit_of_1024_is_shared_between_open_and_parked) {
    const Capacity capacity = fit_capacity(1024, 1024, 2);
    EXPECT_EQ(capacity.parked, 256u);
    EXPECT_EQ(capacity.connections, 1024u - 256 - 26);
}

TEST(Capacity, what_is_open_and_parked_and_the_workers_own_never_exceed_the_limit) {
    for (const std::size_t listeners : {1u, 8u, 64u})
        for (std::size_t open_files = 128; open_files <= 5000; ++open_files) {
            const Capacity capacity = fit_capacity(100'000, open_files, listeners);
            EXPECT_LE(capacity.connections + capacity.parked + 24 + listeners, open_files);
        }
}

TEST(Capacity, the_tightest_limit_still_serves_one) {
    for (std::size_t open_files = 0; open_files <= 40; ++open_files) {
        const Capacity capacity = fit_capacity(1024, open_files, 8);
        EXPECT_GE(capacity.connections, 1u) << open_files;
        EXPECT_GE(capacity.parked, 1u) << open_files;
    }
}

}  // namespace
}  // namespace preforkd

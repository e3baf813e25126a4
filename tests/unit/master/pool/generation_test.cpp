#include "daemon/master/pool/generation.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

TEST(Generation, a_service_is_found_by_its_name) {
    const PoolSettings pool{.workers = 5, .services = {{.workers = 2}, {.name = "tcp://:7", .workers = 3}}};
    EXPECT_EQ(count_services(pool), 2U);
    EXPECT_EQ(find_service(pool, ""), 0U);
    EXPECT_EQ(find_service(pool, "tcp://:7"), 1U);
    EXPECT_EQ(find_service(pool, "tcp://:8"), std::nullopt);
    EXPECT_EQ(service_at(pool, 1).workers, 3);
}

TEST(Generation, where_all_serve_all_they_are_one_service) {
    const PoolSettings pool{.workers = 2, .connections = 3, .connections_asked = 4, .runs_programs = true};
    EXPECT_EQ(count_services(pool), 1U);
    EXPECT_EQ(find_service(pool, ""), 0U);
    EXPECT_EQ(find_service(pool, "tcp://:7"), std::nullopt);
    const ServiceSettings all = service_at(pool, 0);
    EXPECT_EQ(all.name, "");
    EXPECT_EQ(all.workers, 2);
    EXPECT_EQ(all.connections, 3U);
    EXPECT_EQ(all.connections_asked, 4U);
    EXPECT_TRUE(all.runs_programs);
}

}  // namespace
}  // namespace preforkd

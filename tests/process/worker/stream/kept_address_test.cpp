#include "daemon/worker/stream/kept_address.hpp"

#include <gtest/gtest.h>

#include <string>

namespace preforkd {
namespace {

TEST(KeptAddress, gives_back_what_it_was_given) {
    for (const std::string& text :
         {std::string{"tcp://127.0.0.1:80"}, std::string{"tcp://[2001:db8:1:2:3:4:5:6]:65535"},
          std::string{"unix:///x"}, std::string{"unix://@short"}, "unix:///" + std::string(100, 'l')}) {
        const SocketAddress address = resolve(parse_endpoint(text)).at(0);
        const KeptAddress kept{address};
        EXPECT_EQ(kept.get(), address) << text;
        EXPECT_EQ(kept.get().size(), address.size()) << text;
    }
}

TEST(KeptAddress, keeps_that_a_client_has_none) { EXPECT_EQ(KeptAddress{SocketAddress{}}.get().size(), 0U); }

}  // namespace
}  // namespace preforkd

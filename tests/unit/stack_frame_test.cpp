#include "daemon/master/stack_frame.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

TEST(StackFrame, a_function_of_cpp_is_printed_with_its_types) {
    const StackFrame frame = read_stack_frame("3\n/usr/lib/libupper.so+0x1234\n_ZN5Upper5serveEc+0x2a");
    EXPECT_EQ(frame.number, "3");
    EXPECT_EQ(frame.where, "/usr/lib/libupper.so+0x1234");
    EXPECT_EQ(frame.function, "Upper::serve(char)+0x2a");
}

TEST(StackFrame, a_function_of_c_keeps_its_name) {
    EXPECT_EQ(read_stack_frame("0\nlibc.so.6+0x10\nepoll_wait+0x13").function, "epoll_wait+0x13");
}

TEST(StackFrame, a_function_without_a_name_has_its_place_alone) {
    const StackFrame frame = read_stack_frame("0\n/usr/bin/preforkd+0x10");
    EXPECT_EQ(frame.where, "/usr/bin/preforkd+0x10");
    EXPECT_EQ(frame.function, "");
}

TEST(StackFrame, what_a_broken_worker_sends_is_taken_as_it_comes) {
    EXPECT_EQ(read_stack_frame("").where, "");
    EXPECT_EQ(read_stack_frame("\n\n\n").function, "\n");
    EXPECT_EQ(read_stack_frame("1\nx\n+").function, "+");
    EXPECT_EQ(read_stack_frame("1\nx\n_Z").function, "_Z");
}

}  // namespace
}  // namespace preforkd

#include "common/channel/bus_ring.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace preforkd {
namespace {

class BusRingTest : public ::testing::Test {
protected:
    /// What `reader` gets until there is nothing: texts, and `lost N`.
    std::vector<std::string> heard(BusReader& reader) {
        std::vector<std::string> all;
        for (;;) {
            BusMessage message;
            std::uint64_t lost = 0;
            switch (reader.read(buffer_, message, lost)) {
                case BusReader::Step::Nothing: return all;
                case BusReader::Step::Message:
                    all.push_back(std::string{message.topic} + ":" + std::string{message.text});
                    break;
                case BusReader::Step::Lost: all.push_back("lost " + std::to_string(lost)); break;
            }
        }
    }

    std::unique_ptr<BusRing> ring_ = std::make_unique<BusRing>();
    BusWriter writer_{*ring_};
    BusReader reader_{*ring_, 0};
    std::string buffer_{};
};

using Texts = std::vector<std::string>;

TEST_F(BusRingTest, what_is_written_is_read_once_and_in_order) {
    writer_.write("a", "one");
    writer_.write("", "");
    writer_.write("topic", std::string(longest_bus_message - 5, 'x'));
    EXPECT_EQ(heard(reader_), (Texts{"a:one", ":", "topic:" + std::string(longest_bus_message - 5, 'x')}));
    EXPECT_EQ(heard(reader_), Texts{});
    writer_.write("a", "two");
    EXPECT_EQ(heard(reader_), Texts{"a:two"});
}

TEST_F(BusRingTest, a_reader_begins_where_it_is_told_to) {
    writer_.write("a", "before");
    BusReader late{*ring_, ring_->published};
    writer_.write("a", "after");
    EXPECT_EQ(heard(late), Texts{"a:after"});
}

TEST_F(BusRingTest, one_who_is_late_by_messages_is_told_how_many_and_goes_on) {
    for (std::size_t n = 0; n < bus_ring_messages + 7; ++n) writer_.write("n", std::to_string(n));
    const Texts all = heard(reader_);
    ASSERT_EQ(all.size(), bus_ring_messages + 1);
    EXPECT_EQ(all.front(), "lost 7");
    EXPECT_EQ(all[1], "n:7");
    EXPECT_EQ(all.back(), "n:" + std::to_string(bus_ring_messages + 6));
}

TEST_F(BusRingTest, one_who_is_late_by_bytes_is_told_how_many_and_goes_on) {
    constexpr std::size_t fit = bus_ring_bytes / longest_bus_message;
    for (std::size_t n = 0; n < fit + 2; ++n)
        writer_.write("", std::string(longest_bus_message, static_cast<char>('a' + n)));
    const Texts all = heard(reader_);
    ASSERT_EQ(all.size(), fit + 2);
    EXPECT_EQ(all[0], "lost 1");
    EXPECT_EQ(all[1], "lost 1");
    EXPECT_EQ(all[2], ":" + std::string(longest_bus_message, 'c'));
    EXPECT_EQ(all.back(), ":" + std::string(longest_bus_message, static_cast<char>('a' + fit + 1)));
}

TEST_F(BusRingTest, a_writer_goes_on_where_one_was_killed_in_the_middle) {
    writer_.write("a", "one");
    ring_->claimed = ring_->claimed + 1;
    ring_->reserved = ring_->reserved + 13;
    ring_->words[1] = 0x7878'7878;
    BusWriter next{*ring_};
    next.write("a", "two");
    EXPECT_EQ(heard(reader_), (Texts{"a:one", "a:two"}));
}

TEST_F(BusRingTest, what_is_overwritten_while_it_is_read_is_lost_and_not_half_told) {
    writer_.write("a", "one");
    ring_->claimed = bus_ring_messages + 1;  // as a writer announces before it begins
    EXPECT_EQ(heard(reader_), Texts{"lost 1"});
    writer_.write("a", "two");
    ring_->reserved = bus_ring_bytes + 9;
    EXPECT_EQ(heard(reader_), Texts{"lost 1"});
}

TEST_F(BusRingTest, numbers_may_wrap_around) {
    for (auto* each : {&ring_->published, &ring_->claimed}) *each = ~std::uint64_t{0};
    ring_->reserved = ~std::uint64_t{0} - 15;
    BusWriter writer{*ring_};
    BusReader reader{*ring_, ring_->published};
    for (const char* text : {"one", "two", "three"}) writer.write("a", text);
    EXPECT_EQ(heard(reader), (Texts{"a:one", "a:two", "a:three"}));
}

TEST_F(BusRingTest, whatever_stands_there_a_reader_lives_and_comes_to_an_end) {
    std::mt19937_64 random{1};
    for (int round = 0; round < 300; ++round) {
        auto* const words = reinterpret_cast<unsigned char*>(ring_.get());
        for (int byte = 0; byte < 400; ++byte)
            words[random() % (round % 2 == 0 ? 512 : sizeof(BusRing))] = static_cast<unsigned char>(random());
        BusReader reader{*ring_, random()};
        BusMessage message;
        std::uint64_t lost = 0;
        std::size_t steps = 0;
        while (reader.read(buffer_, message, lost) != BusReader::Step::Nothing) {
            ASSERT_LE(message.topic.size() + message.text.size(), longest_bus_message);
            ASSERT_LE(++steps, bus_ring_messages + 1);
        }
        BusWriter{*ring_}.write("topic", "text");  // nor does it harm who writes there next
    }
}

}  // namespace
}  // namespace preforkd

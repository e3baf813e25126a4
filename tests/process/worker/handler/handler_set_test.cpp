#include "daemon/worker/handler/handler_set.hpp"

#include <gtest/gtest.h>

#include "preforkd/handler_entry.hpp"

namespace preforkd {
namespace {

int made = 0;

template <class Stream, class Datagrams>
class Both : public Stream, public Datagrams {
public:
    Both() { ++made; }
    void worker_started() override { ++started; }

    int started = 0;
};

class Blocking final : public Both<BlockingHandler, DatagramHandler> {
    void serve(BlockingConnection&) override {}
    void serve(Datagram&) override {}
};

class Coroutines final : public Both<StreamHandler, AsyncDatagramHandler> {
    awaitable<void> serve(Connection&) override { co_return; }
    awaitable<void> serve(Datagram&) override { co_return; }
};

class Streams final : public BlockingHandler {
    void serve(BlockingConnection&) override {}
};

class Datagrams final : public DatagramHandler {
    void serve(Datagram&) override {}
};

/// A worker that serves `entry` on two listeners of each transport kind.
class HandlerSetTest : public ::testing::Test {
protected:
    HandlerSet set_of(HandlerEntry entry) {
        made = 0;
        settings.handler = entry.name;
        handlers.add(std::move(entry));
        for (const Transport transport : {Transport::Tcp, Transport::Udp, Transport::Unix, Transport::UnixDatagram})
            listeners.push_back(Listener{.local = {.transport = transport}});
        return HandlerSet{plan};
    }

    template <class Class, class Kind>
    Class* stream(HandlerSet& set, std::size_t listener) {
        return dynamic_cast<Class*>(std::get<Kind*>(set.stream_handler(listeners[listener])));
    }
    template <class Class, class Kind>
    Class* datagram(HandlerSet& set, std::size_t listener) {
        return dynamic_cast<Class*>(std::get<Kind*>(set.datagram_handler(listeners[listener])));
    }

    Settings settings{};
    Handlers handlers{};
    std::vector<Listener> listeners{};
    const WorkerPlan plan{.settings = settings, .handlers = handlers, .listeners = listeners};
};

TEST_F(HandlerSetTest, a_class_of_both_kinds_is_made_once_and_started_once) {
    HandlerSet set = set_of(handler<Blocking>("both"));
    Blocking* const first = stream<Blocking, BlockingHandler>(set, 0);
    ASSERT_NE(first, nullptr);
    EXPECT_EQ((datagram<Blocking, DatagramHandler>(set, 1)), first);
    EXPECT_EQ((stream<Blocking, BlockingHandler>(set, 2)), first);
    EXPECT_EQ((datagram<Blocking, DatagramHandler>(set, 3)), first);
    EXPECT_EQ(made, 1);
    set.for_each([](Handler& each) { each.worker_started(); });
    EXPECT_EQ(first->started, 1);
}

TEST_F(HandlerSetTest, it_does_not_matter_which_kind_is_asked_for_first) {
    HandlerSet set = set_of(handler<Coroutines>("both"));
    Coroutines* const first = datagram<Coroutines, AsyncDatagramHandler>(set, 1);
    ASSERT_NE(first, nullptr);
    EXPECT_EQ((stream<Coroutines, StreamHandler>(set, 0)), first);
    EXPECT_EQ(made, 1);
}

TEST_F(HandlerSetTest, an_entry_of_two_classes_has_an_instance_of_each) {
    HandlerEntry entry = handler<Streams>("two");
    entry.make_datagram = handler<Datagrams>("").make_datagram;
    HandlerSet set = set_of(entry);
    EXPECT_NE((stream<Streams, BlockingHandler>(set, 0)), nullptr);
    EXPECT_NE((datagram<Datagrams, DatagramHandler>(set, 1)), nullptr);
    int instances = 0;
    set.for_each([&](Handler&) { ++instances; });
    EXPECT_EQ(instances, 2);
}

TEST_F(HandlerSetTest, two_names_of_one_class_have_an_instance_each) {
    HandlerSet set = set_of(handler<Blocking>("both"));
    handlers.add(handler<Blocking>("again"));
    listeners[1].settings.handler = "again";
    EXPECT_NE((stream<Blocking, BlockingHandler>(set, 0)), (datagram<Blocking, DatagramHandler>(set, 1)));
    EXPECT_EQ(made, 2);
}

}  // namespace
}  // namespace preforkd

#include "common/channel/worker_bus.hpp"

#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "common/base/sys_error.hpp"
#include "preforkd/log.hpp"

namespace preforkd {
namespace {

constexpr int most_at_once = 1024;  // then others of the loop have their turn

static_assert(Bus::longest_bytes == longest_bus_message);

}  // namespace

WorkerBus::WorkerBus(int memory, UniqueFd wakeup, std::size_t place)
    : rings_{memory}, waker_{std::move(wakeup)}, process_{::getpid()}, writer_{rings_[place]} {}

void WorkerBus::publish(std::string_view topic, std::string_view text) {
    if (topic.size() + text.size() > longest_bus_message)
        throw std::length_error{"Bus: a message has at most 16 KiB, with its topic"};
    if (::getpid() != process_) throw std::logic_error{"Bus: what a handler has forked cannot publish"};
    {
        const std::scoped_lock lock{writing_};
        writer_.write(topic, text);
    }
    waker_.wake();
}

/// Of what is published from now on.
void WorkerBus::begin_to_hear() {
    if (!readers_.empty()) return;
    if (!events_.add(waker_.fd(), 0, EPOLLIN | EPOLLET)) throw_errno("watch the bus");
    for (std::size_t place = 0; place < rings_.used(); ++place)
        readers_.emplace_back(rings_[place], rings_[place].published.load(std::memory_order_acquire));
}

std::shared_ptr<WorkerBus::Subscription> WorkerBus::subscribe(std::string_view topic, Bus::Hear hear) {
    const std::scoped_lock lock{hearing_};
    begin_to_hear();
    return topics_.emplace(topic, std::make_shared<Subscription>(Subscription{.hear = std::move(hear)}))->second;
}

std::shared_ptr<WorkerBus::Subscription> WorkerBus::subscribe_to_loss(Bus::HearOfLoss hear) {
    const std::scoped_lock lock{hearing_};
    return losses_.emplace_back(std::make_shared<Subscription>(Subscription{.hear_of_loss = std::move(hear)}));
}

void WorkerBus::unsubscribe(const std::vector<std::shared_ptr<Subscription>>& subscriptions) {
    const std::scoped_lock lock{hearing_};
    for (const auto& each : subscriptions) each->ended = true;
    std::erase_if(topics_, [](const auto& each) { return each.second->ended; });
    std::erase_if(losses_, [](const auto& each) { return each->ended; });
    if (!topics_.empty() || readers_.empty()) return;
    (void)events_.remove(waker_.fd());
    readers_.clear();
}

bool WorkerBus::deliver(const Call& call) {
    const std::scoped_lock lock{hearing_};
    (void)events_.wait_until(Clock::time_point{});  // the next write is the next edge
    std::uint64_t lost = 0;
    int left = most_at_once;
    const std::size_t places = readers_.empty() ? 0 : rings_.used();
    for (std::size_t turn = 0; turn < places && left > 0; ++turn) {
        const std::size_t place = (first_ + turn) % places;
        while (left > 0 && !readers_.empty()) {  // a callback may end the last subscription
            // A ring that is new since then is heard from its first message on.
            while (readers_.size() <= place) readers_.emplace_back(rings_[readers_.size()], 0);
            BusMessage message;
            std::uint64_t some = 0;
            const BusReader::Step step = readers_[place].read(buffer_, message, some);
            if (step == BusReader::Step::Nothing) break;
            --left;
            lost += some;
            if (step == BusReader::Step::Message) hear(message, call);
        }
        if (left == 0) first_ = place + 1;
    }
    if (lost != 0) hear_of_loss(lost, call);
    return left == 0;
}

void WorkerBus::hear(const BusMessage& message, const Call& call) {
    const auto [begin, end] = topics_.equal_range(message.topic);
    std::vector<std::shared_ptr<Subscription>> hearers;
    for (auto each = begin; each != end; ++each) hearers.push_back(each->second);
    for (const auto& each : hearers)
        if (!each->ended) call([&] { each->hear(message.text); });
}

void WorkerBus::hear_of_loss(std::uint64_t messages, const Call& call) {
    if (losses_.empty())
        log(LogLevel::Warning, "{messages} messages of the bus were overwritten before this worker has heard them",
            {{"messages", messages}});
    const auto hearers = losses_;
    for (const auto& each : hearers)
        if (!each->ended) call([&] { each->hear_of_loss(messages); });
}

class Bus::Subscriptions {
public:
    explicit Subscriptions(std::shared_ptr<WorkerBus> bus) : bus_{std::move(bus)} {}
    ~Subscriptions() { bus_->unsubscribe(all_); }
    Subscriptions(const Subscriptions&) = delete;
    Subscriptions& operator=(const Subscriptions&) = delete;

    [[nodiscard]] WorkerBus& bus() const noexcept { return *bus_; }
    void add(std::shared_ptr<WorkerBus::Subscription> one) {
        const std::scoped_lock lock{adding_};
        all_.push_back(std::move(one));
    }

private:
    std::shared_ptr<WorkerBus> bus_;
    std::mutex adding_{};
    std::vector<std::shared_ptr<WorkerBus::Subscription>> all_{};
};

Bus::Bus(std::shared_ptr<WorkerBus> bus) : subscriptions_{std::make_unique<Subscriptions>(std::move(bus))} {}
Bus::~Bus() = default;

void Bus::publish(std::string_view topic, std::string_view text) { subscriptions_->bus().publish(topic, text); }

void Bus::subscribe(std::string_view topic, Hear hear) {
    subscriptions_->add(subscriptions_->bus().subscribe(topic, std::move(hear)));
}

void Bus::on_loss(HearOfLoss hear) { subscriptions_->add(subscriptions_->bus().subscribe_to_loss(std::move(hear))); }

}  // namespace preforkd

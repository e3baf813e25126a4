#include "daemon/master/pool/generations.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/operator_error.hpp"
#include "common/base/quoted.hpp"
#include "common/base/shortage.hpp"
#include "daemon/master/pool/leaving.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using State = WorkerEntry::State;

namespace {

/// `workers`, or those of a service.
std::string workers_of(const WorkerEntry& worker) {
    return worker.service.empty() ? "workers" : "workers of " + printable(worker.service);
}

}  // namespace

Cohort::Cohort(Generation generation, bool ever_ready)
    : plan{std::move(generation)}, courses(count_services(plan.pool), ServiceCourse{.ever_ready = ever_ready}) {}

bool Cohort::is_incomplete(std::size_t service, const WorkerTable& workers) const {
    const ServiceSettings wanted = service_at(plan.pool, service);
    const WorkersOf own{.generation = plan.number, .service = wanted.name};
    const int living = workers.count(State::Starting, own) + workers.count(State::Ready, own);
    return plan.body && living + kept_although_retiring(plan, service, workers) < wanted.workers;
}

bool Cohort::is_ready(const WorkerTable& workers) const {
    for (std::size_t index = 0; index < courses.size(); ++index) {
        const ServiceSettings wanted = service_at(plan.pool, index);
        const int ready = workers.count(State::Ready, {.generation = plan.number, .service = wanted.name});
        if (ready + kept_although_retiring(plan, index, workers) < wanted.workers) return false;
    }
    return true;
}

bool Cohort::is_hopeless() const {
    for (std::size_t index = 0; index < courses.size(); ++index)
        if (const auto& [respawn, ever_ready] = courses[index];
            !ever_ready && preforkd::is_hopeless(respawn.early_deaths, service_at(plan.pool, index).workers))
            return true;
    return false;
}

Deadline Cohort::next_fork(const WorkerTable& workers, Clock::time_point now) const {
    Deadline next;
    for (std::size_t index = 0; index < courses.size(); ++index)
        if (const Clock::time_point not_before = courses[index].respawn.not_before;
            not_before > now && is_incomplete(index, workers))
            next = earlier(next, not_before);
    return next;
}

/// The machine is short of something, which is no service's own fault: all of them wait.
void Cohort::note_failed_fork(const std::exception& error, Clock::time_point now) {
    fork_failed = true;
    last_failure = with_remedy(error);
    for (ServiceCourse& each : courses) each.respawn = after_failed_fork(each.respawn, now);
}

void Cohort::note_death(const WorkerEntry& worker, const UnexpectedDeath& death) {
    constexpr std::chrono::milliseconds first_delay{100};
    Respawn& respawn = courses[course_of(worker)].respawn;
    const bool too_many_before = respawn.too_many;
    respawn = after_death(respawn, death);
    if (respawn.too_many && !too_many_before)
        log(LogLevel::Warning, "{who} die more than {most} times a second: delaying replacements",
            {{"who", workers_of(worker)}, {"most", std::int64_t{most_deaths_per_second(death.pool_size)}}});
    if (respawn.not_before - death.at == first_delay)
        log(LogLevel::Warning, "{who} exit early: delaying replacements, by up to 30 s", {{"who", workers_of(worker)}});
}

void Cohort::note_retirement(const WorkerEntry& worker, Clock::time_point now) {
    const std::size_t course = course_of(worker);
    Respawn& respawn = courses[course].respawn;
    const Retirement retirement{
        .pool_size = service_at(plan.pool, course).workers, .max_requests = plan.settings->max_requests, .at = now};
    const bool too_many_before = respawn.too_many;
    respawn = after_retirement(respawn, retirement);
    if (respawn.too_many && !too_many_before)
        log(LogLevel::Warning, "{who} retire more than {most} times a second: delaying replacements",
            {{"who", workers_of(worker)},
             {"most", most_retirements_per_second(retirement.pool_size, retirement.max_requests)}});
}

Cohort* Generations::find(int number) noexcept {
    if (number == current_.plan.number) return &current_;
    return next_ && number == next_->plan.number ? &*next_ : nullptr;
}

void Generations::boot(Generation next, std::optional<RollingReload> rolling) {
    // The demand is what it was.
    if (next.pool.range)
        next.pool.workers = std::clamp(current_.plan.pool.workers, next.pool.range->fewest, next.pool.range->most);
    next_.emplace(std::move(next));
    if (rolling) exchange_.emplace(std::move(*rolling));
}

void Generations::commit() {
    current_ = std::move(*next_);
    abandon();
}

void Generations::abandon() {
    next_.reset();
    exchange_.reset();
}

bool Generations::next_ready(const WorkerTable& workers) const noexcept {
    return next_ && !(exchange_ && exchange_->goes_back()) && next_->is_ready(workers);
}

bool Generations::next_hopeless() const noexcept {
    if (!next_) return false;
    if (exchange_) return exchange_->over();
    // A machine without capacity for both generations will not have it in a moment, while both are there.
    return next_->fork_failed || next_->is_hopeless();
}

std::string Generations::why_next_failed() const {
    if (!next_ || next_->last_failure.empty()) return "the new workers were not ready within --boot-timeout";
    if (exchange_ || !next_->fork_failed) return next_->last_failure;
    return next_->last_failure + "; if only one generation fits: --reload rolling";
}

void Generations::turn_back(const WorkerTable& workers) {
    if (exchange_->goes_back() || !current_.plan.body) return exchange_->give_up();
    log(LogLevel::Notice,
        "a new worker failed: exchanging the {ready} that are ready for workers of the generation before: {cause}",
        {{"cause", why_next_failed()},
         {"ready", std::int64_t{workers.count(State::Ready, {.generation = next_->plan.number})}}});
    exchange_->turn_back();
    current_.respawn() = {};
}

void Generations::note_failed_start(Cohort& cohort, const Death& death, const WorkerTable& workers) {
    // The process had space, and its thread had none, for instance.
    const bool no_space = death.report == ExitReport{ExitReport::Kind::Exited, static_cast<int>(ExitCode::System)};
    if (cohort.last_failure.empty())
        cohort.last_failure = fmt::format("worker {} {} before it was ready", death.number, describe(death.report));
    if (!exchange_) cohort.fork_failed |= no_space;
    if (!exchange_ || exchange_->over()) return;
    if (no_space) {
        exchange_->note_space(false);
        cohort.respawn() = {};
        return;
    }
    if (&cohort != &current_) {
        if (!exchange_->goes_back()) turn_back(workers);
    } else if (exchange_->goes_back() &&
               preforkd::is_hopeless(cohort.respawn().early_deaths, cohort.plan.pool.workers)) {
        exchange_->give_up();
    }
}

Deadline Generations::next_fork(const WorkerTable& workers, Clock::time_point now) const {
    Deadline next;
    const bool goes_back = exchange_ && exchange_->goes_back();
    if (!exchange_ || goes_back) next = current_.next_fork(workers, now);
    if (next_ && !goes_back) next = earlier(next, next_->next_fork(workers, now));
    if (exchange_) next = earlier(next, RollingExchange::waits_until(workers, coming().plan, now));
    return next;
}

}  // namespace preforkd

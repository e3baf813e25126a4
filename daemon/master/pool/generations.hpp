#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "daemon/master/pool/death.hpp"
#include "daemon/master/pool/generation.hpp"
#include "daemon/master/pool/respawn_policy.hpp"
#include "daemon/master/pool/rolling_exchange.hpp"

namespace preforkd {

/// How it has gone so far with the workers of one service.
struct ServiceCourse {
    Respawn respawn{};
    bool ever_ready = false;
};

/// A generation that is kept at its size, and how that goes.
struct Cohort {
    explicit Cohort(Generation generation, bool ever_ready = false);

    Generation plan;
    std::vector<ServiceCourse> courses;  ///< of each service, see count_services()
    bool fork_failed = false;            ///< once at least
    std::string last_failure{};

    /// Of a pool in which all serve all.
    [[nodiscard]] Respawn& respawn() noexcept { return courses.front().respawn; }
    [[nodiscard]] const Respawn& respawn() const noexcept { return courses.front().respawn; }

    /// Whether workers that can be forked are missing.
    [[nodiscard]] bool is_incomplete(std::size_t service, const WorkerTable& workers) const;
    [[nodiscard]] bool is_ready(const WorkerTable& workers) const;
    /// None of a service ever became ready, and trying on makes no sense.
    [[nodiscard]] bool is_hopeless() const;
    /// When one that is missing may be forked; unset: none is, or now.
    [[nodiscard]] Deadline next_fork(const WorkerTable& workers, Clock::time_point now) const;

    void note_ready(const WorkerEntry& worker) noexcept { courses[course_of(worker)].ever_ready = true; }
    void note_failed_fork(const std::exception& error, Clock::time_point now);
    // How soon the next worker may be forked; said once if that is not at once.
    void note_death(const WorkerEntry& worker, const UnexpectedDeath& death);
    void note_retirement(const WorkerEntry& worker, Clock::time_point now);

private:
    [[nodiscard]] std::size_t course_of(const WorkerEntry& worker) const {
        return find_service(plan.pool, worker.service).value_or(0);
    }
};

/// The current generation, and the next one while it boots: beside the current one, which serves on and is kept at its
/// size, or in exchange for it.
class Generations {
public:
    explicit Generations(Cohort current) : current_{std::move(current)} {}

    [[nodiscard]] Cohort& current() noexcept { return current_; }
    [[nodiscard]] const Cohort& current() const noexcept { return current_; }
    [[nodiscard]] Cohort* next() noexcept { return next_ ? &*next_ : nullptr; }
    [[nodiscard]] const Cohort* next() const noexcept { return next_ ? &*next_ : nullptr; }
    [[nodiscard]] RollingExchange* exchange() noexcept { return exchange_ ? &*exchange_ : nullptr; }
    /// The one with that number; null: it is neither of them.
    [[nodiscard]] Cohort* find(int number) noexcept;
    /// Whose workers come: of an exchange, and of nothing else.
    [[nodiscard]] Cohort& coming() noexcept { return exchange_->goes_back() ? current_ : *next_; }
    [[nodiscard]] const Cohort& coming() const noexcept { return exchange_->goes_back() ? current_ : *next_; }

    void boot(Generation next, std::optional<RollingReload> rolling);
    void commit();
    void abandon();

    [[nodiscard]] bool next_ready(const WorkerTable& workers) const noexcept;
    [[nodiscard]] bool next_hopeless() const noexcept;
    [[nodiscard]] std::string why_next_failed() const;

    /// A worker has died before it was ready.
    void note_failed_start(Cohort& cohort, const Death& death, const WorkerTable& workers);
    /// The workers of before come again in the place of the new ones, if their code is still there and can be started.
    void turn_back(const WorkerTable& workers);

    /// When a worker that is missing may be forked, or one that leaves is waited for no longer; unset: none is, or now.
    [[nodiscard]] Deadline next_fork(const WorkerTable& workers, Clock::time_point now) const;

private:
    Cohort current_;
    std::optional<Cohort> next_{};
    std::optional<RollingExchange> exchange_{};
};

}  // namespace preforkd

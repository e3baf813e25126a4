#pragma once
// Listeners with workers of their own, workers=: a plan for each.
#include <cstddef>

#include "daemon/startup/generation_plan.hpp"

namespace preforkd {

/// Gives `plan`, whose settings and identity are known, its services; none where no listener asks for workers.
void split_into_services(GenerationPlan& plan);

/// How many workers it has at first; 0: the one process for all.
[[nodiscard]] int pool_size_of(const Settings& settings);

/// Which of its services has `listen`; 0 where there are none.
[[nodiscard]] std::size_t index_of_service(const GenerationPlan& plan, const ListenSettings& listen);

/// What holds for the workers of `listen`.
[[nodiscard]] const Settings& settings_for(const GenerationPlan& plan, const ListenSettings& listen);

/// What the workers of one service, or of all, share with each other: who runs as the same user, shares the same.
[[nodiscard]] SharedUse shared_use_of(const GenerationPlan& plan);

/// How many workers each has, and all.  Throws OperatorError (78) when these are too many.
void add_services(PoolSettings& pool, const GenerationPlan& plan);

}  // namespace preforkd

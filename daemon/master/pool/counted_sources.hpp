#pragma once
// The tables in which a worker counts its clients by their sources.
#include <memory>
#include <vector>

#include "common/channel/source_table.hpp"

namespace preforkd {

/// One worker's columns in the tables of its generation.
class CountedSources {
public:
    CountedSources() = default;

    /// Before the worker that has the number `worker` can count there.
    CountedSources(const std::vector<Listener>& listeners, int worker) : column_{SourceCells::column_of(worker)} {
        for (const Listener& listener : listeners) {
            if (!listener.sources) continue;
            listener.sources->cells().open_column(column_);
            tables_.push_back(listener.sources);
        }
    }

    /// The worker is dead: what it had counted is given back.
    void clear() const {
        for (const auto& table : tables_) table->cells().clear_column(column_);
    }

private:
    SourceCells::Column column_ = 0;
    std::vector<std::shared_ptr<SourceTable>> tables_{};
};

}  // namespace preforkd

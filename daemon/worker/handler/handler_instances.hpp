#pragma once
#include <memory>
#include <utility>
#include <vector>

#include "preforkd/handler.hpp"
#include "preforkd/handlers.hpp"

namespace preforkd {

/// What one entry has made in this process: one instance, or one for streams and one for datagrams if these are of
/// different classes.
class HandlerInstances {
public:
    /// The instance of this kind, made when first asked for.  One whose class derives from this kind too is not made
    /// again: its author keeps in its members what tcp:// and udp:// shall share.
    template <class Kind>
    [[nodiscard]] Kind* get(const MakeHandler<Kind>& make, const HandlerOptions& options) {
        for (const auto& made : made_)
            if (auto* const same = dynamic_cast<Kind*>(made.get())) return same;
        std::unique_ptr<Kind> handler = make(options);
        Kind* const borrowed = handler.get();
        made_.push_back(std::move(handler));
        return borrowed;
    }

    template <class Hook>
    void for_each(const Hook& hook) const {
        for (const auto& made : made_) hook(*made);
    }

private:
    std::vector<std::unique_ptr<Handler>> made_{};
};

}  // namespace preforkd

#pragma once

namespace preforkd {

/// Makes a visitor of lambdas, for std::visit.
template <class... Fs>
struct overloaded : Fs... {
    using Fs::operator()...;
};
template <class... Fs>
overloaded(Fs...) -> overloaded<Fs...>;  // clang 14 does not deduce aggregates

}  // namespace preforkd

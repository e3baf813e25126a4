#include "daemon/ctl/import/merged_attributes.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "common/base/quoted.hpp"

namespace preforkd {
namespace {

/// Sets, which `+=` adds to.  Source: xinetd.conf(5).
bool is_set(std::string_view name) {
    constexpr std::array names{"only_from", "no_access", "log_on_success", "log_on_failure",
                               "passenv",   "env",       "disabled",       "enabled"};
    return std::ranges::find(names, name) != names.end();
}

/// What stands in the defaults and does not hold for each service.
bool is_of_defaults_alone(std::string_view name) { return name == "disabled" || name == "enabled"; }

void remove_from(std::vector<std::string>& values, const std::vector<std::string>& removed) {
    std::erase_if(values, [&](const auto& each) { return std::ranges::find(removed, each) != removed.end(); });
}

void apply(OldAttribute& merged, const OldAttribute& said) {
    using enum OldAttribute::Operation;
    merged.place = said.place;
    switch (said.operation) {
        case Set: merged.values = said.values; break;
        case Add: merged.values.insert(merged.values.end(), said.values.begin(), said.values.end()); break;
        case Remove: remove_from(merged.values, said.values); break;
    }
}

const std::string& canonical_name(const std::string& name) {
    static const std::string bind = "bind";
    return name == "interface" ? bind : name;
}

class Merger {
public:
    explicit Merger(std::vector<Remark>& remarks) : remarks_{remarks} {}

    void add_own(const std::vector<OldAttribute>& own, std::span<const OldAttribute> defaults) {
        for (const OldAttribute& said : own) {
            const std::string& name = canonical_name(said.name);
            auto merged = std::ranges::find(merged_, name, &OldAttribute::name);
            if (!is_set(name) && (merged != merged_.end() || said.operation != OldAttribute::Operation::Set)) {
                const bool again = merged != merged_.end();
                remarks_.push_back({said.place, name + (again ? " is set already, and xinetd heeds the first"
                                                              : " knows = alone, and xinetd leaves this out")});
                continue;
            }
            if (merged == merged_.end()) {
                merged_.push_back({.name = name});
                merged = merged_.end() - 1;
                add_defaults(*merged, defaults);
            }
            apply(*merged, said);
        }
    }

    void add_missing(std::span<const OldAttribute> defaults) {
        for (const OldAttribute& each : defaults) {
            const std::string& name = canonical_name(each.name);
            if (is_of_defaults_alone(name) || find_attribute(merged_, name) != nullptr) continue;
            OldAttribute merged{.name = name};
            add_defaults(merged, defaults);
            merged_.push_back(std::move(merged));
        }
    }

    std::vector<OldAttribute> take() { return std::move(merged_); }

private:
    static void add_defaults(OldAttribute& merged, std::span<const OldAttribute> defaults) {
        for (OldAttribute said : defaults) {
            if (canonical_name(said.name) != merged.name) continue;
            if (!is_set(merged.name) && !merged.place.empty()) continue;
            if (said.operation == OldAttribute::Operation::Set) said.operation = OldAttribute::Operation::Add;
            apply(merged, said);
        }
    }

    std::vector<Remark>& remarks_;
    std::vector<OldAttribute> merged_{};
};

}  // namespace

std::vector<OldAttribute> merge_attributes(const OldEntry& service, std::span<const OldAttribute> defaults,
                                           std::vector<Remark>& remarks) {
    if (service.kind != OldEntry::Kind::XinetdService) return service.attributes;
    Merger merger{remarks};
    merger.add_own(service.attributes, defaults);
    merger.add_missing(defaults);
    return merger.take();
}

const OldAttribute* find_attribute(std::span<const OldAttribute> attributes, std::string_view name) noexcept {
    const auto found = std::ranges::find(attributes, name, &OldAttribute::name);
    return found == attributes.end() ? nullptr : &*found;
}

std::string value_of(const OldAttribute& attribute) { return attribute.values.empty() ? "" : attribute.values.front(); }

std::string first_value(std::span<const OldAttribute> attributes, std::string_view name) {
    const OldAttribute* const found = find_attribute(attributes, name);
    return found == nullptr ? "" : value_of(*found);
}

bool has_value(const OldAttribute* attribute, std::string_view word) noexcept {
    return attribute != nullptr && std::ranges::find(attribute->values, word) != attribute->values.end();
}

}  // namespace preforkd

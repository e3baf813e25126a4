#include "daemon/ctl/import/imported_config.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "common/base/quoted.hpp"
#include "daemon/ctl/import/merged_attributes.hpp"
#include "daemon/ctl/import/service_translation.hpp"

namespace preforkd {
namespace {

constexpr std::uint32_t programs_each = 40;  // --connections where programs are started, of each worker

constexpr std::string_view no_service = "none of the files has a service that can be served";

class Importer {
public:
    Importer(const OldFiles& files, const SystemNames& names) : files_{files}, names_{names} {}

    ImportedConfig write() {
        for (const Remark& remark : files_.remarks) add_remark(remark, "");
        for (const OldEntry& service : files_.services)
            if (is_disabled(service))
                sections_ += fmt::format("\n# {} is disabled, {}\n", printable(service.name), service.place);
            else
                add(service);
        if (!serves_) made_.remarks.push_back({"", std::string{no_service}});
        made_.text = head() + sections_;
        return std::move(made_);
    }

private:
    /// By its id, or else its name.  Source: xinetd.conf(5), disabled, enabled
    bool is_disabled(const OldEntry& service) const {
        if (first_value(service.attributes, "disable") == "yes") return true;
        if (has_value(find_attribute(service.attributes, "flags"), "DISABLE")) return true;
        if (service.kind == OldEntry::Kind::InetdService) return false;
        std::string id = first_value(service.attributes, "id");
        if (id.empty()) id = service.name;
        const auto lists = [&](std::string_view name) {
            return std::ranges::any_of(files_.defaults,
                                       [&](const auto& each) { return each.name == name && has_value(&each, id); });
        };
        return lists("disabled") || (find_attribute(files_.defaults, "enabled") != nullptr && !lists("enabled"));
    }

    void add_remark(const Remark& remark, std::string_view service) {
        const std::string sentence =
            service.empty() ? remark.sentence : fmt::format("{}: {}", printable(service), remark.sentence);
        made_.remarks.push_back({remark.place, sentence});
        sections_ += fmt::format("# {}: {}\n", remark.place, sentence);
    }

    void add(const OldEntry& service) {
        std::vector<Remark> remarks;
        const std::vector<OldAttribute> attributes = merge_attributes(service, files_.defaults, remarks);
        ServiceTranslation made = translate_service(service, attributes, names_);
        if (!made.endpoint.empty() && !made.withheld) {
            const auto [other, is_new] = endpoints_.emplace(made.endpoint, service.place);
            if (!is_new) {
                made.remarks.push_back(
                    {service.place, fmt::format("{} is served as {} says", made.endpoint, other->second)});
                made.withheld = true;
            }
        }
        sections_ += fmt::format("\n# {}, {}\n", printable(service.name), service.place);
        for (const std::string& note : made.notes) sections_ += fmt::format("# {}\n", note);
        remarks.insert(remarks.end(), made.remarks.begin(), made.remarks.end());
        for (const Remark& remark : remarks) add_remark(remark, service.name);
        if (made.endpoint.empty()) return;
        if (made.withheld) sections_ += "# so it is not served; take the # away to have it served all the same\n";
        const std::string_view before = made.withheld ? "#" : "";
        sections_ += fmt::format("{}[{}]\n", before, made.endpoint);
        for (const std::string& line : made.lines) sections_ += fmt::format("{}{}\n", before, line);
        if (made.withheld) return;
        serves_ = true;
        most_programs_ = std::max(most_programs_, made.instances);
        asks_hosts_ |= service.kind == OldEntry::Kind::XinetdService &&
                       !has_value(find_attribute(attributes, "flags"), "NOLIBWRAP");
    }

    [[nodiscard]] std::string head() const {
        std::string text = "# Written by preforkctl import.\n";
        if (asks_hosts_)
            text +=
                "# xinetd also asks /etc/hosts.allow and /etc/hosts.deny; preforkd does not: allow = and deny = are "
                "for "
                "that.\n";
        if (most_programs_ > programs_each)
            text += fmt::format("\nconnections = {}  # programs at once of each worker\n", most_programs_);
        return text;
    }

    const OldFiles& files_;
    const SystemNames& names_;
    ImportedConfig made_{};
    std::string sections_{};
    std::map<std::string, std::string> endpoints_{};  ///< with the place of the service that has it
    std::uint32_t most_programs_ = 0;
    bool serves_ = false;
    bool asks_hosts_ = false;
};

}  // namespace

ImportedConfig import_config(const OldFiles& files, const SystemNames& names) { return Importer{files, names}.write(); }

}  // namespace preforkd

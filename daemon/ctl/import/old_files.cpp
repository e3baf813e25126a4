#include "daemon/ctl/import/old_files.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <stdexcept>
#include <system_error>

#include "common/base/quoted.hpp"
#include "common/config/config_file.hpp"
#include "daemon/ctl/import/inetd_text.hpp"
#include "daemon/ctl/import/xinetd_text.hpp"

namespace preforkd {
namespace {

namespace fs = std::filesystem;

/// Those that xinetd reads: without copies of editors and packages.  Source: xinetd.conf(5), includedir
std::vector<std::string> files_of(const std::string& directory) {
    std::vector<std::string> files;
    for (const fs::directory_entry& each : fs::directory_iterator{directory})
        if (const std::string name = each.path().filename(); name.find('.') == name.npos && !name.ends_with('~'))
            files.push_back(each.path());
    std::ranges::sort(files);
    return files;
}

class FileReader {
public:
    void read(const std::string& path) {
        try {
            read_any(path);
        } catch (const std::system_error& error) {
            refuse(path, error.code().message());
        } catch (const std::logic_error& error) { refuse(path, error.what()); }
    }
    OldFiles take() { return std::move(found_); }

private:
    [[noreturn]] static void refuse(const std::string& path, std::string_view why) {
        throw std::runtime_error{fmt::format("import: cannot read {}: {}", printable(path), why)};
    }

    void read_any(const std::string& path) {
        if (fs::is_directory(path))
            for (const std::string& file : files_of(path)) read_file(file);
        else
            read_file(path);
    }

    void read_file(const std::string& path) {
        if (!read_.insert(fs::weakly_canonical(path).native()).second) return;
        const std::string text = read_config_file(path);
        const std::string name = printable(path);
        OldText read = is_xinetd_text(text) ? parse_xinetd(text, name) : parse_inetd(text, name);
        found_.remarks.insert(found_.remarks.end(), read.remarks.begin(), read.remarks.end());
        for (OldEntry& entry : read.entries) take_in(std::move(entry));
    }

    void take_in(OldEntry entry) {
        switch (entry.kind) {
            case OldEntry::Kind::XinetdService:
            case OldEntry::Kind::InetdService: found_.services.push_back(std::move(entry)); break;
            case OldEntry::Kind::Defaults:
                found_.defaults.insert(found_.defaults.end(), entry.attributes.begin(), entry.attributes.end());
                break;
            case OldEntry::Kind::Include:
            case OldEntry::Kind::IncludeDirectory: include(entry); break;
        }
    }

    /// As for xinetd, the others are served without a file that is missing.
    void include(const OldEntry& entry) {
        try {
            read(entry.name);
        } catch (const std::runtime_error& error) {
            constexpr std::string_view of_command = "import: ";
            found_.remarks.push_back({entry.place, std::string{error.what()}.substr(of_command.size())});
        }
    }

    OldFiles found_{};
    std::set<std::string> read_{};
};

}  // namespace

OldFiles read_old_files(const std::vector<std::string>& paths) {
    FileReader reader;
    for (const std::string& path : paths) reader.read(path);
    return reader.take();
}

}  // namespace preforkd

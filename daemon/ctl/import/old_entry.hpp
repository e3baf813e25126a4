#pragma once
// What files of xinetd and inetd say, in xinetd's words.  Pure data.
#include <string>
#include <string_view>
#include <vector>

namespace preforkd {

/// What could not be translated, and where it stands.
struct Remark {
    std::string place{};     ///< `FILE:LINE`
    std::string sentence{};  ///< without a full stop
    friend bool operator==(const Remark&, const Remark&) = default;
};

/// `only_from += 192.0.2.1 192.0.2.2`
struct OldAttribute {
    enum class Operation { Set, Add, Remove };

    std::string name{};
    Operation operation = Operation::Set;
    std::vector<std::string> values{};
    std::string place{};
    friend bool operator==(const OldAttribute&, const OldAttribute&) = default;
};

struct OldEntry {
    enum class Kind {
        XinetdService,
        InetdService,      ///< a line of inetd.conf; xinetd's defaults do not hold for it
        Defaults,          ///< of xinetd's services, in whichever file
        Include,           ///< of the file called `name`
        IncludeDirectory,  ///< likewise
    } kind = Kind::XinetdService;
    std::string name{};
    std::string place{};
    std::vector<OldAttribute> attributes{};
    friend bool operator==(const OldEntry&, const OldEntry&) = default;
};

/// One file.
struct OldText {
    std::vector<OldEntry> entries{};
    std::vector<Remark> remarks{};  ///< what is no entry
};

}  // namespace preforkd

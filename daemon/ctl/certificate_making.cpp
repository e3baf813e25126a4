#include "daemon/ctl/certificate_making.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "common/base/quoted.hpp"
#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/base/wiped_text.hpp"
#include "common/base/write_all.hpp"
#include "common/tls/certificate.hpp"
#include "common/tls/self_signed.hpp"
#include "daemon/ctl/date_text.hpp"
#include "daemon/ctl/output.hpp"
#include "daemon/ctl/tls_files.hpp"

namespace preforkd {
namespace {

constexpr mode_t for_all = 0644;
constexpr mode_t for_this_user = 0600;  // from the first moment: nobody shall have it open

/// Who presses Ctrl-C gets both files or none.
class StopSignalsHeld {
public:
    StopSignalsHeld() {
        sigset_t stops;
        ::sigemptyset(&stops);
        for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) ::sigaddset(&stops, signal);
        ::sigprocmask(SIG_BLOCK, &stops, &before_);
    }
    ~StopSignalsHeld() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }
    StopSignalsHeld(const StopSignalsHeld&) = delete;
    StopSignalsHeld& operator=(const StopSignalsHeld&) = delete;

private:
    sigset_t before_{};
};

UniqueFd create(const std::string& path, mode_t mode) {
    UniqueFd file{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)};
    if (!file && errno == EEXIST)
        throw std::runtime_error{fmt::format(
            "{} is there, and is not overwritten; remove it, or have others made with --out PREFIX", printable(path))};
    if (!file) throw_errno("create " + printable(path));
    return file;
}

void write_file(int file, std::string_view text, const std::string& path) {
    if (!write_all(file, text)) throw_errno("write " + printable(path));
    check(::fsync(file), "write " + printable(path));
}

/// What `work` throws leaves no file called `path`, which is ours.
template <class Work>
void or_else_remove(const std::string& path, const Work& work) {
    try {
        work();
    } catch (const std::exception&) {
        ::unlink(path.c_str());
        throw;
    }
}

struct PemFile {
    std::string path{};
    std::string_view text{};
};

void write_both(const PemFile& certificate, const PemFile& key) {
    const StopSignalsHeld held;
    const UniqueFd key_file = create(key.path, for_this_user);
    or_else_remove(key.path, [&] {
        const UniqueFd certificate_file = create(certificate.path, for_all);
        or_else_remove(certificate.path, [&] {
            write_file(key_file.get(), key.text, key.path);
            write_file(certificate_file.get(), certificate.text, certificate.path);
        });
    });
}

/// As a shell, --listen and a configuration file take it without quotes; else as it was given.
std::string path_to_use(const std::string& path) {
    constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+@%/,:";
    std::error_code error;
    const std::string absolute = std::filesystem::absolute(path, error).lexically_normal().native();
    return error || absolute.find_first_not_of(plain) != absolute.npos ? path : absolute;
}

std::string what_to_do(const CertificateOrder& order, const std::string& certificate, const std::string& key) {
    std::string text = fmt::format("serve with it:  preforkd --listen 'tls://:8443 certificate={} key={}'\n",
                                   path_to_use(certificate), path_to_use(key));
    std::string host = host_to_ask(order);
    if (host.find(':') != host.npos) host = fmt::format("[{}]", host);
    if (!host.empty())
        text += fmt::format("ask the server: preforkctl send tls://{}:8443 --ca {}\n", host, path_to_use(certificate));
    return text;
}

}  // namespace

void make_certificate(const CertificateOrder& order) {
    const std::string certificate = order.prefix + ".pem";
    const std::string key = order.prefix + ".key";
    load_openssl();
    CertificatePair pair = make_self_signed(order.names, order.valid);
    const WipedText secret{std::move(pair.key)};
    write_both({.path = certificate, .text = pair.certificate}, {.path = key, .text = secret.text()});
    print(fmt::format("{}  certificate for {}, until {}\n{}  its key, which only this user may read\n\n{}", certificate,
                      fmt::join(order.names, ", "),
                      date_text(end_of(read_certificates(pair.certificate).certificate.get())), key,
                      what_to_do(order, certificate, key)));
}

}  // namespace preforkd

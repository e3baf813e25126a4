// Clients with TLS, one after the other: each connects, shakes hands, reads to the end in good order, closes.
//
//   tls_load --port P [--connections N] [--resume yes|no] [--version 1.2|1.3] [--close fin|reset] [--timeout-s S]
//
// With --resume each takes up the session of the one before, whichever worker it meets.  Prints one line of JSON, in
// which `resumed` counts those who could.  Exits with 1 at the first answer that is wrong.
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/time.h>

#include <array>
#include <memory>
#include <string_view>

#include "generator.hpp"

namespace {

using namespace load;

template <auto Free>
struct Freed {
    template <class Object>
    void operator()(Object* object) const {
        Free(object);
    }
};
using Context = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;
using Session = std::unique_ptr<SSL_SESSION, Freed<SSL_SESSION_free>>;
using Ssl = std::unique_ptr<SSL, Freed<SSL_free>>;

[[noreturn]] void fail_tls(const std::string& attempt) {
    std::array<char, 256> reason{};
    ERR_error_string_n(ERR_get_error(), reason.data(), reason.size());
    fail(attempt + ": " + reason.data(), EPROTO);
}

class Clients {
public:
    Clients(const Arguments& given) : given_{given}, context_{SSL_CTX_new(TLS_client_method())} {
        const int version = given.text("version") == "1.2" ? TLS1_2_VERSION : TLS1_3_VERSION;
        SSL_CTX_set_min_proto_version(context_.get(), version);
        SSL_CTX_set_max_proto_version(context_.get(), version);
        SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_set_app_data(context_.get(), this);
        SSL_CTX_sess_set_new_cb(context_.get(), [](SSL* ssl, SSL_SESSION* session) {
            static_cast<Clients*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)))->next_.reset(session);
            return 1;
        });
    }

    void run() {
        const auto began = Clock::now();
        const auto deadline = began + std::chrono::seconds{given_["timeout-s"]};
        for (std::size_t done = 0; done < given_["connections"]; ++done) {
            if (Clock::now() > deadline) fail("connections in time", ETIMEDOUT);
            visit();
        }
        const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
        std::printf("{\"connections\": %zu, \"resumed\": %zu, \"seconds\": %.6f}\n", given_["connections"], resumed_,
                    seconds);
    }

private:
    void visit() {
        const int fd = check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
        const sockaddr_in server = loopback(INADDR_LOOPBACK, given_["port"]);
        check(::connect(fd, reinterpret_cast<const sockaddr*>(&server), sizeof server), "connect");
        const Ssl ssl{SSL_new(context_.get())};
        SSL_set_fd(ssl.get(), fd);
        if (given_.text("resume") == "yes" && next_) SSL_set_session(ssl.get(), next_.get());
        if (SSL_connect(ssl.get()) != 1) fail_tls("handshake");
        resumed_ += SSL_session_reused(ssl.get()) == 1 ? 1 : 0;
        std::string answer;
        std::array<char, 4096> buffer;
        int got = 0;
        while ((got = SSL_read(ssl.get(), buffer.data(), static_cast<int>(buffer.size()))) > 0)
            answer.append(buffer.data(), static_cast<std::size_t>(got));
        if (SSL_get_error(ssl.get(), got) != SSL_ERROR_ZERO_RETURN) fail_tls("answer without an end");
        if (answer != "connected\n") fail("wrong answer", EPROTO);
        SSL_set_shutdown(ssl.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);  // else nobody may resume its session
        if (given_.text("close") == "reset")
            reset(fd);
        else
            ::close(fd);
    }

    const Arguments& given_;
    Context context_;
    Session next_{};
    std::size_t resumed_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    return run_generator("tls_load", [&] {
        const Arguments given{argc,
                              argv,
                              {port(),
                               {.name = "connections", .least = 1, .most = 100'000'000, .fallback = 1000},
                               {.name = "timeout-s", .least = 1, .most = 3600, .fallback = 60}},
                              {{.name = "resume", .fallback = "no", .choices = {"yes", "no"}},
                               {.name = "version", .fallback = "1.3", .choices = {"1.2", "1.3"}},
                               {.name = "close", .fallback = "fin", .choices = {"fin", "reset"}}}};
        Clients{given}.run();
    });
}

#include "common/tls/key_service.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>

#include "common/process/spawn.hpp"
#include "common/tls/signer.hpp"
#include "tests/process/waiting.hpp"
#include "tls/tls_fixture.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;

constexpr std::array<std::uint8_t, 32> digest{1, 2, 3};

/// A process with a key, whose certificate is here.
class KeyServiceTest : public ::testing::Test {
protected:
    void SetUp() override {
        std::filesystem::create_directories(directory);
        std::ofstream{file()} << pair.key;
    }
    void TearDown() override {
        if (service) service->signal(SIGKILL);
        std::filesystem::remove_all(directory);
    }

    [[nodiscard]] std::string file() const { return directory / "key"; }
    [[nodiscard]] X509* certificate() const { return chain.certificate.get(); }
    [[nodiscard]] KeyName name() const { return key_name_of(certificate()); }

    /// Its last word.
    KeyReport start() {
        KeyServiceSocket pair_of_ends = open_key_service_socket();
        service.emplace(spawn([&] {
            return run_key_service({{.listener = "here", .certificate = "c", .file = file(), .parsed = certificate()}},
                                   std::move(pair_of_ends.service), true);
        }));
        pair_of_ends.service = {};
        socket = std::move(pair_of_ends.master);
        for (;;) {
            pollfd said{.fd = socket.get(), .events = POLLIN, .revents = 0};
            ::poll(&said, 1, 10'000);
            const auto report = receive_key_report(socket.get());
            if (!report) return {.kind = KeyReport::Kind::Failed, .text = "nothing was said"};
            if (report->kind != KeyReport::Kind::Reading) return *report;
            EXPECT_EQ(report->text, "here: key=" + file());
        }
    }

    /// Returns when it has stopped.
    void stop() const {
        service->signal(SIGSTOP);
        siginfo_t stopped{};
        ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(service->pid()), &stopped, WSTOPPED), 0);
    }

    void connect(Signer& signer, bool again = false) {
        SigningPipes pipes = open_signing_pipes();
        signer.connect(std::move(pipes.worker));
        ends.push_back(std::move(pipes.keys));
        ASSERT_TRUE(pass_signing_end(socket.get(), ends.back(), again));
    }

    [[nodiscard]] std::optional<std::size_t> sign(Signer& signer, SigningKind kind = SigningKind::Ecdsa,
                                                  std::size_t space = 200) {
        std::vector<std::uint8_t> signature(space);
        return signer.sign(name(), kind, digest, signature);
    }

    const std::filesystem::path directory{::testing::TempDir() + "keys" + std::to_string(::getpid())};
    const CertificatePair pair = make_self_signed({"localhost"}, std::chrono::days{30});
    const CertificateChain chain = read_certificates(pair.certificate);
    std::optional<ChildProcess> service{};
    UniqueFd socket{};
    std::vector<SigningEnd> ends{};  ///< of the process, as its master keeps them
};

TEST_F(KeyServiceTest, a_handshake_comes_about_without_the_key) {
    ASSERT_EQ(start().kind, KeyReport::Kind::Ready);
    const auto signer = std::make_shared<Signer>();
    TlsSettings settings{.certificates = {"c"}, .keys = {"never read"}, .key_process = true};
    const TlsContext context{settings, "tcp://here", std::make_shared<RotatingTicketKeys>(),
                             [this](const std::string& key, const std::string&) {
                                 EXPECT_EQ(key, "certificate");
                                 return pair.certificate;
                             },
                             signer};
    EXPECT_EQ(context.certificates_of_remote_keys().size(), 1U);
    EXPECT_FALSE(TlsPair{context}.shake_hands()) << "nobody signs yet";
    connect(*signer);
    for (int turn = 0; turn < 3; ++turn) EXPECT_TRUE((TlsPair{context, "localhost"}.shake_hands()));
}

TEST_F(KeyServiceTest, it_signs_what_its_keys_are_for_and_nothing_else) {
    ASSERT_EQ(start().kind, KeyReport::Kind::Ready);
    Signer signer;
    EXPECT_EQ(sign(signer), std::nullopt) << "not connected";
    connect(signer);
    EXPECT_GT(sign(signer).value_or(0), 60U);
    EXPECT_EQ(sign(signer, SigningKind::RsaRaw), std::nullopt);
    EXPECT_EQ(sign(signer, SigningKind{99}), std::nullopt);
    EXPECT_EQ(sign(signer, SigningKind::Ecdsa, 10), std::nullopt) << "no space for it";
    std::vector<std::uint8_t> signature(200);
    EXPECT_EQ(signer.sign({}, SigningKind::Ecdsa, digest, signature), std::nullopt) << "no such key";
    EXPECT_EQ(signer.sign(name(), SigningKind::Ecdsa, std::vector<std::uint8_t>(most_signed_bytes + 1), signature),
              std::nullopt);
    EXPECT_GT(sign(signer).value_or(0), 60U) << "and goes on";
}

TEST_F(KeyServiceTest, a_worker_that_sends_what_is_no_request_is_heard_no_more_and_others_are) {
    ASSERT_EQ(start().kind, KeyReport::Kind::Ready);
    Signer bad;
    Signer good;
    connect(bad);
    connect(good);
    const std::string forged(sizeof(SigningRequest) - 1, 'x');
    ASSERT_EQ(::write(bad.descriptors()[0], forged.data(), forged.size()), ssize_t(forged.size()));
    EXPECT_EQ(sign(bad), std::nullopt);
    EXPECT_GT(sign(good).value_or(0), 60U);
}

TEST_F(KeyServiceTest, one_that_takes_over_is_asked_again) {
    Signer signer;
    ASSERT_EQ(start().kind, KeyReport::Kind::Ready);
    connect(signer);
    ASSERT_GT(sign(signer).value_or(0), 60U);
    service->signal(SIGKILL);
    EXPECT_EQ(testing::end_of(*service), testing::killed(SIGKILL));
    // What the dead one had read, and not answered, is gone.
    const ChildProcess worker = spawn([&] { return sign(signer).value_or(0) > 60 ? 0 : 1; });
    SigningRequest taken;
    ASSERT_EQ(::read(ends.back().requests.get(), &taken, sizeof taken), ssize_t{sizeof taken});
    ASSERT_EQ(start().kind, KeyReport::Kind::Ready);
    ASSERT_TRUE(pass_signing_end(socket.get(), ends.back(), true));
    EXPECT_EQ(testing::end_of(worker), testing::success);
    EXPECT_GT(sign(signer).value_or(0), 60U);
}

TEST_F(KeyServiceTest, who_is_killed_while_he_waits_keeps_nobody_else_waiting) {
    ASSERT_EQ(start().kind, KeyReport::Kind::Ready);
    Signer signer;
    connect(signer);
    stop();
    const ChildProcess worker = spawn([&] { return sign(signer) ? 0 : 1; });
    pollfd asked{.fd = ends.back().requests.get(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&asked, 1, 10'000), 1);
    worker.signal(SIGKILL);
    EXPECT_EQ(testing::end_of(worker), testing::killed(SIGKILL));
    service->signal(SIGCONT);
    for (int turn = 0; turn < 3; ++turn) EXPECT_GT(sign(signer).value_or(0), 60U);
}

TEST_F(KeyServiceTest, one_that_is_stuck_is_waited_for_a_second_and_then_not_at_all) {
    ASSERT_EQ(start().kind, KeyReport::Kind::Ready);
    Signer signer;
    connect(signer);
    stop();
    const auto began = Clock::now();
    EXPECT_EQ(sign(signer), std::nullopt);
    EXPECT_GE(Clock::now() - began, Signer::patience);
    EXPECT_LT(Clock::now() - began, 2 * Signer::patience);
    SigningRequest request;
    while (::write(signer.descriptors()[0], &request, sizeof request) > 0) continue;
    const auto full = Clock::now();
    EXPECT_EQ(sign(signer), std::nullopt) << "nobody has read for long";
    EXPECT_LT(Clock::now() - full, Signer::patience);
    service->signal(SIGCONT);
    ASSERT_TRUE(testing::comes(signer.descriptors()[0], POLLOUT));
    EXPECT_GT(sign(signer).value_or(0), 60U) << "late answers are passed over";
}

TEST_F(KeyServiceTest, a_key_that_is_another_certificates_is_refused) {
    std::ofstream{file()} << make_self_signed({"other"}, std::chrono::days{1}).key;
    const KeyReport report = start();
    EXPECT_EQ(report.kind, KeyReport::Kind::Failed);
    EXPECT_EQ(report.code, ExitCode::Configuration);
    EXPECT_EQ(report.text, "here: key=" + file() + ": is not the key of certificate=c; name each pair in turn");
}

TEST_F(KeyServiceTest, it_ends_when_nobody_needs_it_any_more) {
    ASSERT_EQ(start().kind, KeyReport::Kind::Ready);
    auto signer = std::make_unique<Signer>();
    connect(*signer);
    ASSERT_GT(sign(*signer).value_or(0), 60U);
    socket = {};
    ASSERT_GT(sign(*signer).value_or(0), 60U) << "a worker does";
    signer = nullptr;
    EXPECT_EQ(testing::end_of(*service), testing::success);
    service.reset();
}

}  // namespace
}  // namespace preforkd

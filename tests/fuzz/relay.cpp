#include "tests/fuzz/relay.hpp"

#include <utility>

#include "tests/fuzz/relay_parties.hpp"
#include "tests/fuzz/require.hpp"

namespace preforkd::fuzz {
namespace {

/// One byte is a single byte up to three records.
std::size_t amount_of(unsigned char byte) { return byte < 64 ? byte + std::size_t{1} : std::size_t{byte - 63U} * 256; }

class Play {
public:
    explicit Play(unsigned char how)
        : is_lax_{(how & 1) != 0}, buffer_bytes_{(how & 2) != 0 ? 1 : 64 * 1024}, sockets_{make_pair(buffer_bytes_)} {}

    void act(unsigned char what, std::size_t amount) {
        switch (what % 16) {
            case 0:
            case 1: client_.write(amount); break;
            case 2: client_.read(amount); break;
            case 3: client_.end(); break;
            case 4:
            case 5: program_.write(amount); break;
            case 6: program_.read(amount); break;
            case 7: program_.end(); break;
            case 8:
            case 9: break;  // only the worker has its turn
            case 10: drain_program(); break;
            case 11: drain_client(); break;
            case 12: upset([&] { client_.send_junk(amount); }); break;
            case 13:
                was_cut_off_ = was_cut_off_ || !client_.has_ended();
                client_.cut();
                break;
            case 14: upset([&] { amount % 2 == 0 ? program_.close() : program_.stop_reading(); }); break;
            case 15: upset([&] { make_an_end(amount % 3); }); break;
        }
        if (what < 128 || what % 16 >= 8) let_the_worker_act();  // else two acts meet it together
        look();
    }

    /// Each says what it has to say, and reads to the end.
    void conclude() {
        if (is_upset_ || was_cut_off_) return conclude_badly();
        for (int turns = 0; !client_.is_open(); ++turns) {
            require(turns < 10, "the two shake hands");
            client_.shake_hands();
            let_the_worker_act();
        }
        drain_program();
        require(program_.received() == client_.sent(), "all that the client has sent comes, whether it reads or not");
        drain_client();
        require(client_.received() == program_.sent(), "all that the program has sent comes");
        for (int turns = 0; !client_.has_ended(); ++turns) {
            require(turns < 1000, "the client can end its output");
            client_.end();
            drain_program();
        }
        drain_program();
        require(program_.got_end(), "the client's end reaches the program");
        program_.end();
        let_the_worker_act();
        drain_client();
        require(client_.got_end(), "the program's end reaches the client");
        look();
        require(worker_.is_over() && worker_.outcome() == ConnectionOutcome::Ok, "then it is over, and went well");
    }

private:
    template <class Act>
    void upset(Act act) {
        is_upset_ = true;
        act();
    }

    void make_an_end(std::size_t how) {
        if (how == 0)
            client_.close();
        else if (how == 1)
            worker_.hurry();
        else
            worker_.give_up();
    }

    void let_the_worker_act() {
        worker_.come_to_rest(client_.fd(), program_.fd());
        if (UniqueFd fd = worker_.take_program()) program_.start(std::move(fd));
    }

    // A part of a record may move without a byte that either end could count: its socket tells.
    void drain_program() {
        for (int vain = 0; vain < 3;) {
            let_the_worker_act();
            const std::size_t sent = client_.sent();
            const int unsent = unsent_bytes(client_.fd());
            if (client_.has_begun_to_write()) client_.write(0);
            const bool moved =
                program_.read(1 << 16) != 0 || client_.sent() != sent || unsent_bytes(client_.fd()) > unsent;
            vain = moved ? 0 : vain + 1;
        }
        look();
    }
    void drain_client() {
        for (bool moved = true; moved;) {
            let_the_worker_act();
            const bool has_come = unread_bytes(client_.fd()) != 0;
            moved = client_.read(1 << 16) != 0 || (has_come && client_.is_open() && !client_.got_end());
        }
        look();
    }

    /// What holds at any time.
    void look() {
        if (client_.got_end())
            require(program_.has_ended() && client_.received() == program_.sent(),
                    "a client's end comes behind the last byte");
        if (program_.got_end() && !worker_.is_over() && !is_upset_ && !was_cut_off_)
            require(client_.has_ended() && program_.received() == client_.sent(),
                    "a program's end comes behind the last byte");
    }

    void conclude_badly() {
        drain_program();
        drain_client();
        if (was_cut_off_ && !is_upset_ && client_.is_open() && !is_lax_)
            require(worker_.is_over() && worker_.outcome() != ConnectionOutcome::Ok, "who is cut off has not ended");
        if (worker_.is_over() && worker_.outcome() == ConnectionOutcome::Ok) {
            // Of what a client was cut off in, more may have come than it knows.
            require(!program_.reads() || program_.received() >= client_.sent(),
                    "what went well has brought all to the program");
            require(!client_.is_open() || (client_.got_end() && client_.received() == program_.sent()),
                    "what went well has brought all to the client");
        }
        client_.close();
        program_.close();
        let_the_worker_act();
        program_.close();  // which may only now have begun
        let_the_worker_act();
        require(worker_.is_over(), "when both have gone it is over");
    }

    bool is_lax_;
    int buffer_bytes_;
    SocketPair sockets_;
    Worker worker_{std::move(sockets_.ours), is_lax_ ? TlsEnd::Lax : TlsEnd::Strict, buffer_bytes_};
    Client client_{std::move(sockets_.theirs)};
    Program program_{};
    bool is_upset_ = false;     ///< somebody has broken off, or broken the rules
    bool was_cut_off_ = false;  ///< the client has ended without a close_notify
};

}  // namespace

void drive_relay(std::string_view script) {
    if (script.empty()) return;
    Play play{static_cast<unsigned char>(script.front())};
    constexpr std::size_t most_acts = 64;
    script = script.substr(1, 2 * most_acts);
    for (; script.size() >= 2; script.remove_prefix(2))
        play.act(static_cast<unsigned char>(script[0]), amount_of(static_cast<unsigned char>(script[1])));
    play.conclude();
}

}  // namespace preforkd::fuzz

// Texts by name in an SQLite database: `put NAME TEXT` and `get NAME`, a line each.  Each worker has a connection to
// the database; while that blocks, the worker goes on with its other clients.
#include <sqlite3.h>  // Debian: libsqlite3-dev
#include <preforkd/preforkd.hpp>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

/// A connection, for any thread.
class Database {
public:
    explicit Database(const std::string& path) {
        sqlite3* opened = nullptr;
        const int result = sqlite3_open(path.c_str(), &opened);
        connection_.reset(opened);  // also where it could not be opened: it has the reason
        require(result == SQLITE_OK);
        sqlite3_busy_timeout(opened, longest_wait_ms);
        (void)run("CREATE TABLE IF NOT EXISTS texts (name TEXT PRIMARY KEY, text TEXT NOT NULL)");
    }

    /// The first column of the first row.
    std::optional<std::string> run(const char* sql, std::initializer_list<std::string_view> values = {}) {
        const std::scoped_lock one_at_a_time{in_use_};
        sqlite3_stmt* prepared = nullptr;
        require(sqlite3_prepare_v2(connection_.get(), sql, -1, &prepared, nullptr) == SQLITE_OK);
        const std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)> statement{prepared, sqlite3_finalize};
        int number = 0;
        for (const std::string_view value : values)
            sqlite3_bind_text(prepared, ++number, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
        const int result = sqlite3_step(prepared);
        require(result == SQLITE_ROW || result == SQLITE_DONE);
        if (result == SQLITE_DONE) return std::nullopt;
        const unsigned char* const text = sqlite3_column_text(prepared, 0);  // before its size
        const auto size = static_cast<std::size_t>(sqlite3_column_bytes(prepared, 0));
        return std::string{reinterpret_cast<const char*>(text), size};
    }

private:
    static constexpr int longest_wait_ms = 10'000;  // for another worker that writes

    void require(bool success) const {
        if (!success) throw std::runtime_error{std::string{"database: "} + sqlite3_errmsg(connection_.get())};
    }

    std::mutex in_use_;
    std::unique_ptr<sqlite3, decltype(&sqlite3_close)> connection_{nullptr, sqlite3_close};
};

class Texts : public preforkd::StreamHandler {
public:
    static constexpr const char* summary = "texts by name: put NAME TEXT, get NAME";
    static constexpr auto models = {Model::Async, Model::Serial, Model::Thread};
    static constexpr const char* why_models = "a child must not use its parent's connection to an SQLite database";
    static void options(preforkd::Options& own) { own.add("database", "FILE", "where the texts are", "texts.db"); }

    /// Of a worker, which is forked by now.
    explicit Texts(const preforkd::HandlerOptions& options) : database_{options["database"]} {}
    void worker_started(preforkd::Worker& worker) override { worker_ = &worker; }

    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        while (co_await client.next_request()) {
            const auto line = co_await client.read_line();
            if (!line) co_return;
            const std::string answer = co_await worker_->offload([&] { return answer_to(line.line()); });
            if (const auto error = co_await client.write(answer)) co_return;
        }
    }

private:
    /// In a thread for what blocks.
    std::string answer_to(std::string_view line) {
        const std::string_view command = take_word(line);
        const std::string_view name = take_word(line);
        if (command == "get") return database_.run("SELECT text FROM texts WHERE name = ?", {name}).value_or("") + '\n';
        if (command != "put") return "put NAME TEXT, or get NAME\n";
        (void)database_.run("INSERT OR REPLACE INTO texts VALUES (?, ?)", {name, line});
        return "ok\n";
    }

    static std::string_view take_word(std::string_view& line) {
        const std::string_view word = line.substr(0, line.find(' '));
        line.remove_prefix(std::min(word.size() + 1, line.size()));
        return word;
    }

    preforkd::Worker* worker_ = nullptr;
    Database database_;
};

int main(int argc, char** argv) { return preforkd::run(argc, argv, preforkd::handler<Texts>("texts")); }

#pragma once
// Numbers by name, for redis-cli (PING, SET, GET, INCR, DEL), the same in all workers, over reloads and upgrades.
#include <preforkd/preforkd.hpp>

#include <array>
#include <atomic>
#include <charconv>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

/// A worker may be killed at any instruction in it: an entry is taken by one exchange, and never given back.
struct Numbers {
    static constexpr unsigned version = 1;
    struct Entry {
        std::atomic<std::uint64_t> key;  // of its name; 0: free
        std::atomic<bool> is_set;
        std::atomic<std::int64_t> value;
    };
    std::array<Entry, 4096> entries;

    /// nullptr: it is full.
    Entry* find(std::string_view name) {
        const std::uint64_t key = std::hash<std::string_view>{}(name) | 1;
        for (std::size_t step = 0; step < entries.size(); ++step) {
            Entry& entry = entries[(key + step) % entries.size()];
            std::uint64_t seen = 0;
            if (entry.key.compare_exchange_strong(seen, key) || seen == key) return &entry;
        }
        return nullptr;
    }
};

class Store : public preforkd::StreamHandler {
public:
    static constexpr const char* summary = "numbers by name, for redis-cli";
    static constexpr bool uses_shared_memory = true;

    void worker_started(preforkd::Worker& worker) override { numbers_ = &worker.shared<Numbers>("numbers"); }

    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        for (;;) {
            const auto words = co_await read_command(client);
            if (!words) co_return;
            const std::string answer = execute(*words);
            if (const auto error = co_await client.write(answer)) co_return;
        }
    }

private:
    /// As redis-cli sends it, `*2`, `$3`, `GET`, `$1`, `a`, each in a line, or as a hand types it: `GET a`.
    static preforkd::awaitable<std::optional<std::vector<std::string>>> read_command(preforkd::Connection& client) {
        const auto first = co_await client.read_line();
        if (!first) co_return std::nullopt;
        const std::string line{first.line()};
        std::vector<std::string> words;
        if (!line.starts_with('*')) {
            std::istringstream typed{line};
            for (std::string word; typed >> word;) words.push_back(word);
            co_return words;
        }
        for (std::int64_t left = number(line.substr(1)).value_or(0); left > 0 && words.size() < 16; --left) {
            const auto size = co_await client.read_line();  // of the next line
            const auto word = co_await client.read_line();
            if (!size || !word) co_return std::nullopt;
            words.emplace_back(word.line());
        }
        co_return words;
    }

    static std::optional<std::int64_t> number(std::string_view text) {
        std::int64_t value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        return error == std::errc{} && end == text.data() + text.size() ? std::optional{value} : std::nullopt;
    }

    std::string execute(const std::vector<std::string>& words) {
        if (words.empty()) return "";
        if (words.size() < 2) return words[0] == "PING" ? "+PONG\r\n" : "-ERR a name is missing\r\n";
        Numbers::Entry* const entry = numbers_->find(words[1]);
        if (entry == nullptr) return "-ERR the store is full\r\n";
        const std::string text = std::to_string(entry->value);
        if (words[0] == "GET")
            return !entry->is_set ? "$-1\r\n" : '$' + std::to_string(text.size()) + "\r\n" + text + "\r\n";
        if (words[0] == "DEL") return entry->value = 0, ':' + std::to_string(entry->is_set.exchange(false)) + "\r\n";
        const auto value = number(words.size() > 2 ? words[2] : "");
        if (words[0] == "SET" && !value) return "-ERR value is not an integer\r\n";
        if (words[0] != "SET" && words[0] != "INCR") return "-ERR unknown command\r\n";
        const std::int64_t now = words[0] == "SET" ? (entry->value = *value) : ++entry->value;
        entry->is_set = true;
        return words[0] == "SET" ? "+OK\r\n" : ':' + std::to_string(now) + "\r\n";
    }

    Numbers* numbers_ = nullptr;
};

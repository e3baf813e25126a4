#pragma once
// What the daemon and its control clients say to each other: one JSON object a line, in both directions.  Pure.
//
//   > status                                            or {"command":"status"}
//   < {"ok":true,"status":{...}}
//   > workers 4                                         or {"command":"workers","workers":4}
//   < {"ok":true,"message":"4 workers wanted"}
//   > reload --force                                    or {"command":"reload","force":true}
//   < {"ok":false,"error":"..."}
//
// A client that is still connected when the daemon stops in good order is told so unasked:
//   < {"ok":false,"error":"the daemon has stopped","stopped":true}
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace preforkd {

enum class ControlCommand { Status, Workers, Reload, Upgrade, Stop, Deaths, Ready, Sources };

/// Their names, in the order of the enum.
inline constexpr std::array<std::string_view, 8> control_command_names{"status", "workers", "reload", "upgrade",
                                                                       "stop",   "deaths",  "ready",  "sources"};

struct ControlRequest {
    ControlCommand command{};
    int workers = 0;     ///< of Workers
    bool force = false;  ///< of Reload
    friend bool operator==(const ControlRequest&, const ControlRequest&) = default;
};

/// The longest request, without its newline.
inline constexpr std::size_t longest_request_bytes = 4096;

/// Reads a line, with or without its newline.  Throws std::invalid_argument with one sentence for its sender.
[[nodiscard]] ControlRequest parse_control_request(std::string_view line);

/// The JSON form, without a newline.
[[nodiscard]] std::string to_json(const ControlRequest& request);

/// What became of something that was asked for.
struct Outcome {
    bool ok = true;
    std::string sentence{};  ///< what was done, or why it was not
};

// Answers, with their newline.
[[nodiscard]] std::string answer_line(const Outcome& outcome);
/// `json`: the value, as JSON; `name`: what it is called, `status`, `deaths` or `sources`.
[[nodiscard]] std::string answer_line(std::string_view name, std::string_view json);

inline constexpr std::string_view has_stopped = "the daemon has stopped";
[[nodiscard]] std::string farewell_line();

struct ControlAnswer {
    Outcome outcome{};
    bool stopped = false;  ///< a farewell
    std::string status{};  ///< JSON; empty if the answer has none
    std::string deaths{};
    std::string sources{};
};

/// Throws std::runtime_error for what is no answer.
[[nodiscard]] ControlAnswer parse_control_answer(std::string_view line);

}  // namespace preforkd

#pragma once
// What a handler is told of a client that speaks TLS, in a line; and how its stream has ended, as a line of the log.
#include <preforkd/preforkd.hpp>

#include <cstdint>
#include <exception>
#include <string>

inline std::string told_of(const preforkd::Tls* tls) {
    if (tls == nullptr) return "plain\n";
    std::string line = tls->version + ' ' + tls->cipher + " name=" + tls->server_name + " alpn=" + tls->alpn +
                       (tls->resumed ? " resumed" : " full");
    if (tls->certificate) {
        line += " subject=" + tls->certificate->subject + " cn=" + tls->certificate->common_name + " names=";
        for (const std::string& name : tls->certificate->names) line += name + ';';
        line += " sha256=" + tls->certificate->sha256;
    }
    return line + (tls->verified ? " verified\n" : " not verified\n");
}

template <class Ask>
std::string refusal_of(const Ask& ask) {
    try {
        ask();
    } catch (const std::exception& error) { return std::string{error.what()} + '\n'; }
    return "given\n";
}

inline void log_end(std::uint64_t bytes, const std::error_code& error) {
    preforkd::log(preforkd::LogLevel::Notice, "read to the end: {cause}",
                  {{"cause", error ? error.message() : "in good order"}, {"bytes", bytes}});
}

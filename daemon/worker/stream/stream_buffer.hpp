#pragma once
// The buffers between a BlockingConnection's input() and output() and its socket.
#include <memory>
#include <streambuf>
#include <system_error>

#include "preforkd/blocking_connection.hpp"

namespace preforkd {

/// Made on first use, as each of its buffers is.
///
/// It fails where a line is longer than the connection allows; also for code that sees it as a std::istream only, such
/// as std::getline(), though there a buffer's length later. What looks before it takes, by underflow(), reads a line;
/// what takes at once, get() by uflow() and read() by xsgetn(), may take as much as it likes.
class StreamBuffer final : public std::streambuf {
public:
    explicit StreamBuffer(BlockingCore& core) noexcept : core_{core} {}

    /// Sends what is buffered; what cannot be sent is lost, since the connection is.
    std::error_code flush();

    /// What is read next is a line of its own, which `end` ends.
    void begin_line(char end) noexcept;

protected:
    int_type underflow() override;
    int_type uflow() override;
    std::streamsize xsgetn(char* to, std::streamsize size) override;
    std::streamsize showmanyc() override { return received_end_ - egptr(); }
    int_type overflow(int_type next) override;
    std::streamsize xsputn(const char* text, std::streamsize size) override;
    int sync() override;

private:
    static constexpr std::size_t buffer_bytes = std::size_t{8} * 1024;

    void receive();
    void measure_line() noexcept;
    void forget_line() noexcept;
    void show_more() noexcept;

    BlockingCore& core_;
    std::unique_ptr<char[]> input_{};
    char* received_end_ = nullptr;  ///< what lies behind egptr() waits: a line would be too long with it
    char* measured_ = nullptr;      ///< what lies before is in line_bytes_, or in no line
    std::size_t line_bytes_ = 0;    ///< without an end, in whole pieces of input
    char line_end_ = '\n';
    std::unique_ptr<char[]> output_{};
};

}  // namespace preforkd

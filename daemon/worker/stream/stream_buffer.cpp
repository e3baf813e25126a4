#include "daemon/worker/stream/stream_buffer.hpp"

#include <algorithm>
#include <span>
#include <string_view>

#include "daemon/worker/stream/blocking_core.hpp"

namespace preforkd {

std::error_code StreamBuffer::flush() {
    const std::span<const char> pending{pbase(), pptr()};
    if (pending.empty()) return {};
    setp(pbase(), epptr());
    return core_.send(std::as_bytes(pending));
}

void StreamBuffer::begin_line(char end) noexcept {
    line_end_ = end;
    line_bytes_ = 0;
    measured_ = gptr();
    setg(eback(), gptr(), gptr());  // what is there is shown by underflow()
}

/// What is shown has been taken. Where a line has ended in it, who took the rest is not known.
void StreamBuffer::measure_line() noexcept {
    const std::string_view taken{measured_, static_cast<std::size_t>(egptr() - measured_)};
    line_bytes_ = taken.find(line_end_) == taken.npos ? line_bytes_ + taken.size() : 0;
    measured_ = egptr();
}

/// What is shown is not read as a line.
void StreamBuffer::forget_line() noexcept {
    line_bytes_ = 0;
    measured_ = egptr();
}

void StreamBuffer::receive() {
    (void)flush();  // what the client may be waiting for before it goes on
    if (!input_) input_ = std::make_unique_for_overwrite<char[]>(buffer_bytes);
    const Received got = core_.receive(std::as_writable_bytes(std::span{input_.get(), buffer_bytes}));
    // An end of file would set eofbit; the streams turn an exception into badbit.
    if (got.error) throw std::system_error{got.error, "read from the client"};
    received_end_ = input_.get() + got.bytes.size();
    measured_ = input_.get();
    setg(input_.get(), input_.get(), input_.get());
}

void StreamBuffer::show_more() noexcept {
    auto shown = static_cast<std::size_t>(received_end_ - gptr());
    if (const std::size_t limit = core_.line_max_bytes; limit != 0) {
        const std::size_t left = limit - line_bytes_;
        if (shown > left) shown = left + 1;  // its end is no part of the line
    }
    setg(eback(), gptr(), gptr() + shown);
}

StreamBuffer::int_type StreamBuffer::underflow() {
    if (gptr() == egptr()) {
        measure_line();
        if (core_.line_max_bytes != 0 && line_bytes_ > core_.line_max_bytes)
            throw std::system_error{core_.line_too_long(), "read from the client"};
        if (gptr() == received_end_) receive();
        show_more();
    }
    return gptr() == egptr() ? traits_type::eof() : traits_type::to_int_type(*gptr());
}

StreamBuffer::int_type StreamBuffer::uflow() {
    forget_line();
    const int_type taken = std::streambuf::uflow();
    forget_line();
    return taken;
}

std::streamsize StreamBuffer::xsgetn(char* to, std::streamsize size) {
    const std::streamsize taken = std::streambuf::xsgetn(to, size);
    forget_line();
    return taken;
}

StreamBuffer::int_type StreamBuffer::overflow(int_type next) {
    if (flush()) return traits_type::eof();
    if (!output_) {
        output_ = std::make_unique_for_overwrite<char[]>(buffer_bytes);
        setp(output_.get(), output_.get() + buffer_bytes);
    }
    return traits_type::eq_int_type(next, traits_type::eof()) ? traits_type::not_eof(next)
                                                              : sputc(traits_type::to_char_type(next));
}

std::streamsize StreamBuffer::xsputn(const char* text, std::streamsize size) {
    if (size < static_cast<std::streamsize>(buffer_bytes)) return std::streambuf::xsputn(text, size);
    const std::string_view all{text, static_cast<std::size_t>(size)};
    if (flush() || core_.send(std::as_bytes(std::span{all}))) return 0;
    return size;
}

int StreamBuffer::sync() { return flush() ? -1 : 0; }

}  // namespace preforkd

#pragma once
// How those who serve one connection in a loop, or a thread, of its own hear that their worker has been told to leave.

namespace preforkd {

class DrainNotice {
public:
    DrainNotice() = default;
    DrainNotice(const DrainNotice&) = delete;
    DrainNotice& operator=(const DrainNotice&) = delete;
    virtual ~DrainNotice() = default;

    /// From any thread of the worker, and in a child of it.
    [[nodiscard]] virtual bool draining() const noexcept { return false; }

    /// Becomes readable for good when it drains; -1: it is heard of in another way.  Made when first asked for.
    [[nodiscard]] virtual int drain_fd() { return -1; }

    // Around each wait that a drain shall end; draining() is asked in between.
    virtual void begin_idle_wait() {}
    virtual void end_idle_wait() noexcept {}
};

}  // namespace preforkd

#pragma once
// What a worker tells the children that it has forked already.
#include <sys/mman.h>

#include <atomic>
#include <new>

#include "common/base/sys_error.hpp"

namespace preforkd {

/// A flag in memory that this process and those that it forks have in common.
class SharedFlag {
public:
    SharedFlag() {
        void* const memory = ::mmap(nullptr, sizeof *flag_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) throw_errno("map shared memory");
        flag_ = new (memory) std::atomic<bool>{};
    }
    ~SharedFlag() { ::munmap(flag_, sizeof *flag_); }
    SharedFlag(const SharedFlag&) = delete;
    SharedFlag& operator=(const SharedFlag&) = delete;

    void set() noexcept { flag_->store(true); }
    [[nodiscard]] bool is_set() const noexcept { return flag_->load(); }

private:
    std::atomic<bool>* flag_ = nullptr;
};

}  // namespace preforkd

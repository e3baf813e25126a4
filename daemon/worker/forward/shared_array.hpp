#pragma once
#include <sys/mman.h>

#include <cstddef>
#include <memory>

#include "common/base/sys_error.hpp"

namespace preforkd {

/// `size` of them in memory that this process and those that it forks have in common.
template <class Value>
class SharedArray {
public:
    explicit SharedArray(std::size_t size) : bytes_{size * sizeof(Value)} {
        void* const memory = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) throw_errno("map shared memory");
        values_ = static_cast<Value*>(memory);
        std::uninitialized_value_construct_n(values_, size);
    }
    ~SharedArray() { ::munmap(values_, bytes_); }
    SharedArray(const SharedArray&) = delete;
    SharedArray& operator=(const SharedArray&) = delete;

    [[nodiscard]] Value& operator[](std::size_t at) const noexcept { return values_[at]; }

private:
    std::size_t bytes_;
    Value* values_ = nullptr;
};

}  // namespace preforkd

#include "common/channel/shared_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <array>
#include <new>
#include <stdexcept>
#include <utility>

#include "common/base/quoted.hpp"
#include "common/base/sys_error.hpp"
#include "preforkd/log.hpp"
#include "preforkd/shared.hpp"

namespace preforkd {

/// Starts the memory.  Written by the master that makes it, for one of another version.
struct SharedMemory::Header {
    alignas(128) std::uint64_t magic;
    std::array<SharedRow, shared_objects> rows;

    static constexpr std::uint64_t expected_magic = 0x7066'6b64'7368'6d01;  // "pfkdshm", version 1
};

namespace {

using detail::longest_shared_bytes;

constexpr std::size_t header_bytes = std::size_t{64} << 10;  // whole pages of every size that there is
constexpr std::size_t all_bytes = header_bytes + shared_objects * longest_shared_bytes;

std::size_t place_of(std::size_t row) noexcept { return header_bytes + row * longest_shared_bytes; }

}  // namespace

SharedMemory::SharedMemory(uid_t owner)
    : memory_{check(::memfd_create("preforkd-shared", MFD_CLOEXEC | MFD_ALLOW_SEALING), "create shared memory")},
      owner_{owner} {
    static_assert(sizeof(Header) <= header_bytes);
    check(::ftruncate(memory_.get(), static_cast<off_t>(all_bytes)), "size shared memory");
    // A worker that could shorten it would kill the master with its next look, and make it grow without end.
    check(::fcntl(memory_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), "seal shared memory");
    check(::fchmod(memory_.get(), 0600), "keep shared memory from others");
    check(::fchown(memory_.get(), owner, static_cast<gid_t>(-1)), "give shared memory to the workers' user");
    map();
    header_->magic = Header::expected_magic;
}

SharedMemory::SharedMemory(UniqueFd& memory) {
    struct stat file {};
    check(::fstat(memory.get(), &file), "look at shared memory");
    std::uint64_t magic = 0;
    if (static_cast<std::size_t>(file.st_size) != all_bytes ||
        ::pread(memory.get(), &magic, sizeof magic, 0) != sizeof magic || magic != Header::expected_magic)
        throw std::runtime_error{"this version does not know the layout of shared memory"};
    memory_ = std::move(memory);
    owner_ = file.st_uid;
    map();
}

SharedMemory::~SharedMemory() { ::munmap(header_, header_bytes); }

void SharedMemory::map() {
    void* const mapped = ::mmap(nullptr, header_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0);
    if (mapped == MAP_FAILED) throw_errno("map shared memory");
    header_ = static_cast<Header*>(mapped);
    check(::madvise(mapped, header_bytes, MADV_DONTFORK), "keep a mapping out of workers");
}

void SharedMemory::forget_superseded(int oldest) const {
    for (std::size_t index = 0; index < shared_objects; ++index) {
        if (!is_superseded(header_->rows, index, static_cast<std::uint64_t>(oldest))) continue;
        ::fallocate(memory_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(place_of(index)),
                    static_cast<off_t>(longest_shared_bytes));
        SharedRow& row = header_->rows[index];
        row.generation.store(0, std::memory_order_relaxed);
        row.key.store(0, std::memory_order_release);
    }
}

SharedObjects::SharedObjects(int memory, int generation) : generation_{static_cast<std::uint64_t>(generation)} {
    void* const mapped = ::mmap(nullptr, all_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memory, 0);
    if (mapped == MAP_FAILED) throw_errno("map shared memory");
    (void)::madvise(mapped, all_bytes, MADV_DONTDUMP);
    mapped_ = static_cast<std::byte*>(mapped);
}

SharedObjects::~SharedObjects() { ::munmap(mapped_, all_bytes); }

void* SharedObjects::find(const SharedName& wanted) const {
    const auto error = [&wanted](const std::string& text) {
        return "Worker::shared(): " + in_quotes(wanted.name) + ": " + text;
    };
    if (wanted.name.empty() || wanted.name.size() > longest_shared_name)
        throw std::invalid_argument{
            error("expected a name of at most " + std::to_string(longest_shared_name) + " bytes")};
    const std::span<SharedRow> rows{std::launder(reinterpret_cast<SharedRow*>(mapped_ + sizeof(SharedRow))),
                                    shared_objects};
    const auto found = find_shared_row(rows, wanted, generation_);
    if (!found)
        throw std::length_error{error("a service has space for " + std::to_string(shared_objects) + " objects")};
    if (found->before) {
        const SharedRow& before = rows[*found->before];
        log(LogLevel::Notice,
            "the handler's shared object {object} begins anew: it has {bytes} bytes and version {version}, and had "
            "{bytes_before} bytes and version {version_before}",
            {{"object", wanted.name},
             {"bytes", wanted.bytes},
             {"version", std::uint64_t{wanted.version}},
             {"bytes_before", before.bytes.load(std::memory_order_relaxed)},
             {"version_before", before.version.load(std::memory_order_relaxed)}});
    }
    return mapped_ + place_of(found->index);
}

}  // namespace preforkd

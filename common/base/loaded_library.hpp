#pragma once
// A library that is opened for a moment instead of being linked: its mappings would be part of every fork.
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace preforkd {

class LoadedLibrary {
public:
    /// Throws std::runtime_error with the loader's sentence when it cannot be loaded.
    explicit LoadedLibrary(const char* soname);

    /// Throws likewise when the library has no such function.
    template <class Function>
    void find(const char* name, Function& function) const {
        function = reinterpret_cast<Function>(address_of(name));
    }

private:
    [[nodiscard]] void* address_of(const char* name) const;

    struct Close {
        void operator()(void* library) const noexcept;
    };
    std::unique_ptr<void, Close> library_;
};

/// Tells packagers that the program loads a library which it is not linked with.  A constant of this type belongs into
/// the section `.note.dlopen`, where nothing may stand between two: alignas(std::uint32_t).  `text`: JSON with a
/// `soname`.  Source: https://uapi-group.org/specifications/specs/elf_dlopen_metadata/; elf(5), Notes.
template <std::size_t Size>
struct DlopenNote {
    std::uint32_t owner_size = sizeof owner;
    std::uint32_t text_size = Size;
    std::uint32_t type = 0x407c0c0a;
    std::array<char, 4> owner{'F', 'D', 'O', '\0'};
    alignas(std::uint32_t) std::array<char, Size> text{};  // the note behind it begins at a multiple of four
};

}  // namespace preforkd

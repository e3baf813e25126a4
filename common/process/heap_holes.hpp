#pragma once

namespace preforkd {

/// Takes what small pieces the heap has free among its used pages, for ever, so that what is allocated from now on lies
/// side by side.
///
/// For a process that forks for each client: a page of the heap that either side writes while they share it is copied,
/// and start-up leaves free pieces in a dozen pages.  Costs the process those pages, once.  Harmless with an allocator
/// that is not glibc's, where it may do nothing.
void fill_heap_holes();

}  // namespace preforkd

// The length of a file that is going to be mapped.
#pragma once

#include <cstdint>

namespace tenure::os {

// ftruncate(). False with errno; EFBIG where RLIMIT_FSIZE does not allow it, without the SIGXFSZ that would end the
// program: it is the program's limit and not its file.
bool set_file_length(int descriptor, std::uint64_t bytes) noexcept;

}  // namespace tenure::os

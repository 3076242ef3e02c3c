// What a room of the library looks like from outside: marked with TENURE_API, everything else hidden.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <stdexcept>

#include <tenure/api.h>

namespace tenure::testing {

// The room's view of the core: through the C ABI, as the loader bound it.
TENURE_API int sample_is_active();
TENURE_API std::uint64_t sample_live_bytes();
TENURE_API const void* sample_address_of_version();

struct TENURE_API sample_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A resource on a heap of its own; the vtable and the type are the library's.
class TENURE_API sample_resource final : public std::pmr::memory_resource {
 public:
  sample_resource();
  ~sample_resource() override;
  std::uint64_t live_bytes() const;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;  // throws sample_error beyond 1 MiB
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override;
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override;

  void* heap_;
};

}  // namespace tenure::testing

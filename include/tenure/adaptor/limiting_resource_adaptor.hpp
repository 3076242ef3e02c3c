// tenure::limiting_resource_adaptor: never more than so many bytes of the upstream.
//
//     tenure::limiting_resource_adaptor tenant({.name = "tenant 7", .limit_bytes = 64 << 20, .upstream = &shared});
//     std::pmr::vector<row> rows(&tenant);   // std::bad_alloc where the 64 MiB do not suffice
//
// What counts are bytes as requested. Shrinkers of the account are asked before a request is refused
// (<tenure/account.hpp>); set_limits() changes the limit at any time. Every resource has a limit of its own; this one
// is for a part of what an upstream gives, or for an upstream that has none.
//
// One thread at a time. Errors: std::bad_alloc at the limit. Cost: docs/library/adaptors.md.
#pragma once

#include <tenure/adaptor/resource_adaptor.hpp>

namespace tenure {

struct limiting_options {
  std::string_view name = "limited";
  std::uint64_t limit_bytes = TENURE_NO_LIMIT;
  const tenure::account* parent = nullptr;
  std::pmr::memory_resource* upstream = nullptr;  // null: operator new
};

class TENURE_API limiting_resource_adaptor final : public resource_adaptor {
 public:
  explicit limiting_resource_adaptor(const limiting_options& options);

  // What can be requested before the limit refuses it.
  std::uint64_t remaining_bytes() const noexcept;
};

}  // namespace tenure

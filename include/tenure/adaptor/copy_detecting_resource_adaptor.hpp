// tenure::copy_detecting_resource_adaptor: who copies element by element because two resources differ.
//
//     tenure::copy_detecting_resource_adaptor watched({.name = "orders", .upstream = &arena});
//     std::pmr::vector<order> kept(&watched);
//     std::pmr::vector<order> other(&elsewhere);
//     other = std::move(kept);       // its resource is another one: every order is moved by itself
//     watched.report_copies();       // says how often, and from where
//
// A std::pmr container does not take its resource along when it is assigned. Move assignment, a move constructor that
// is given an allocator and a splice ask whether the resources are equal, and where they are not the elements are
// copied or moved one by one into new memory, or the splice is undefined. Nothing says so. This adaptor counts the
// questions that it answers with no, and keeps the stack of each.
//
// Only one of the two resources is asked, and which depends on the container: of libstdc++'s vector and list the one
// moved from, of its map the one assigned to. So put an adaptor on either side; where the other side is the
// default resource, std::pmr::set_default_resource(&adaptor) finds who forgot to pass one. Whoever compares resources
// himself is counted too. swap() of containers with different resources asks nobody, and is undefined.
//
// One thread at a time. Errors: those of the upstream. Cost: nothing more than any adaptor for an allocation; some 200
// ns for a question answered with no (docs/library/adaptors.md).
#pragma once

#include <memory>
#include <vector>

#include <tenure/adaptor/resource_adaptor.hpp>
#include <tenure/call_site.hpp>

namespace tenure {

struct copy_detecting_options {
  std::string_view name = "copies";
  const tenure::account* parent = nullptr;
  std::pmr::memory_resource* upstream = nullptr;  // null: operator new
};

class TENURE_API copy_detecting_resource_adaptor final : public resource_adaptor {
 public:
  explicit copy_detecting_resource_adaptor(const copy_detecting_options& options);
  ~copy_detecting_resource_adaptor() override;

  std::uint64_t copies() const noexcept;
  struct copy_site {
    call_site asked;
    std::uint64_t copies;
    const std::pmr::memory_resource* other;  // that it was compared with first, from here; it may be gone
  };
  // Most copies first. Of the first thousand sites.
  std::vector<copy_site> copies_by_site() const;
  // A message for each of the first ten sites, on standard error. The number of copies.
  std::uint64_t report_copies() const;

 private:
  struct seen_copies;
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override;

  std::unique_ptr<seen_copies> seen_;
};

}  // namespace tenure
